"""Speedup of one group of runs over another, with a verdict."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, ClassVar, Literal, Self

import numpy as np
import xarray as xr
from pydantic import Field

import bayesmoe
from bayesmoe.decisions.speedup import LEVELS, Promotion, Trend
from bayesmoe.decisions.speedup_runs import settling_run
from bayesmoe.documents.base import Count, Document, Experts, Number, Probability, Section


class Bands(Section):
    """Median and the 50, 80 and 90% bands; null where infinite."""

    q05: Number
    q10: Number
    q25: Number
    q50: Number
    q75: Number
    q90: Number
    q95: Number

    @classmethod
    def of(cls, values: Iterable[float]) -> Self:
        """From quantiles in the order of :data:`bayesmoe.decisions.speedup.LEVELS`."""
        return cls(**{f"q{round(100 * level):02d}": value for level, value in zip(LEVELS, values, strict=True)})


class BySeeds(Section):
    """Whether so many runs of each recipe, at one design, tell the difference of loss from noise."""

    seeds: Experts
    p_distinguished: Probability = Field(
        description="probability that the difference exceeds two standard deviations of noise"
    )


class EqualDesign(Section):
    """What runs of both recipes at one size and number of tokens would show."""

    n_active_parameters: float
    tokens: float
    loss_difference_nats_per_token: Bands = Field(
        description="loss of `over` less that of `of`: positive where `of` is better"
    )
    noise_nats_per_token: float = Field(description="standard deviation of one run")
    by_seeds: tuple[BySeeds, ...]
    seeds_needed: Experts | None = Field(
        description="runs of each with which the median difference is two standard deviations; null where none suffice"
    )


class BudgetSpeedup(Section):
    """Speedup at one training budget."""

    place: str = Field(description="asked, the largest run that both have, or so many times it")
    train_flop: float
    speedup: Bands = Field(description="FLOP that `over` needs for the loss of `of`, over its FLOP")
    p_infinite: Probability = Field(description="that `over` does not reach that loss within 10,000 times the compute")
    p_faster: Probability = Field(description="that the speedup exceeds 1")
    p_above_threshold: Probability
    verdict: Promotion
    equal_design: EqualDesign


class SettlingRun(Section):
    """A run, or one of each recipe, that might settle the verdict."""

    recipe: str = Field(description="whose run; `both` for one of each")
    train_flop: float = Field(description="in all")
    train_usd: Number = Field(None, description="at the price given; left out without one")
    n_active_parameters: float
    tokens: float
    evsi_ln_speedup: float = Field(
        description="expected value of its outcome: ln speedup not given away, a lead counted as tenfold at most"
    )
    evsi_se_ln_speedup: float = Field(description="standard error of the estimate")
    evsi_percent_of_compute: float
    says: Literal["worth", "cannot tell"] = Field(description="cannot tell where the standard error exceeds the value")
    p_settled: Probability = Field(description="that the verdict is PROMOTE or REJECT after it")


class CurvePoint(Section):
    """The speedup along compute."""

    train_flop: float
    speedup: Bands


class SpeedupDocument(Document):
    """Speedup of the recipe `of` over the recipe `over`, and whether to promote it."""

    kind: ClassVar[str] = "speedup"
    version: ClassVar[int] = 1
    command: ClassVar[str] = "bayesmoe speedup --json"

    bayesmoe_version: str
    of: str
    over: str
    verdict: Promotion = Field(description="at the first of `budgets`")
    exit_code: Literal[0, 1] = Field(description="0 for PROMOTE")
    threshold: float
    probability: float
    laws: str
    draws: Experts
    has_discrepancy: bool = Field(description="false for a law fitted alone: the band then leaves the law's own error out")
    num_experts_of: float
    num_experts_over: float
    runs_flop_of: tuple[float, float] = Field(description="compute of its smallest and largest run")
    runs_flop_over: tuple[float, float]
    warnings: tuple[str, ...]
    budgets: tuple[BudgetSpeedup, ...]
    exponent: Bands = Field(description="d ln speedup / d ln C from the largest run that both have to a hundred times it")
    p_grows: Probability
    trend: Trend
    evpi_ln_speedup: float = Field(description="value of knowing the speedup at the verdict's budget")
    runs: tuple[SettlingRun, ...]
    settling_run: Count | None = Field(
        description="index in `runs` of the cheapest that settles the verdict with the probability asked; null without one"
    )
    curve: tuple[CurvePoint, ...]

    @classmethod
    def of_result(cls, found: xr.Dataset, usd: Callable[[float], float] | None = None) -> SpeedupDocument:
        """The document of :func:`bayesmoe.decisions.speedup.speedup`; ``usd`` prices FLOP where a price is known."""
        said = found.attrs
        plain = ("of", "over", "verdict", "threshold", "probability", "draws", "num_experts_of", "num_experts_over", "trend")
        return cls(
            bayesmoe_version=bayesmoe.__version__,
            **{name: said[name] for name in plain},
            exit_code=0 if said["verdict"] == "PROMOTE" else 1,
            laws=said["law"],
            has_discrepancy=bool(said["discrepancy"]),
            runs_flop_of=tuple(said["runs_flop_of"]),
            runs_flop_over=tuple(said["runs_flop_over"]),
            warnings=tuple(said["warnings"]),
            budgets=tuple(_budget(found.isel(budget=number)) for number in range(found.sizes["budget"])),
            exponent=Bands.of(found["exponent"].values),
            p_grows=float(found["p_grows"]),
            evpi_ln_speedup=float(found["evpi"]),
            runs=tuple(_run(found.isel(run=number), usd) for number in range(found.sizes["run"])),
            settling_run=settling_run(found),
            curve=tuple(
                CurvePoint(train_flop=float(flop), speedup=Bands.of(values))
                for flop, values in zip(found["curve_flop"].values, found["curve"].values, strict=True)
            ),
        )


def _budget(row: xr.Dataset) -> BudgetSpeedup:
    seeds = float(row["seeds_needed"])
    return BudgetSpeedup(
        place=str(row["place"].item()),
        train_flop=float(row["train_flop"]),
        speedup=Bands.of(row["speedup"].values),
        p_infinite=float(np.isposinf(row["ln_speedup"]).mean()),
        p_faster=float(row["p_faster"]),
        p_above_threshold=float(row["p_above"]),
        verdict=row["verdict"].item(),
        equal_design=EqualDesign(
            n_active_parameters=float(row["n_active"]),
            tokens=float(row["tokens"]),
            loss_difference_nats_per_token=Bands.of(row["loss_difference"].values),
            noise_nats_per_token=float(row["noise_nats"]),
            by_seeds=tuple(
                BySeeds(seeds=int(count), p_distinguished=float(share))
                for count, share in zip(row["seeds"].values, row["p_distinguished"].values, strict=True)
            ),
            seeds_needed=int(seeds) if np.isfinite(seeds) else None,
        ),
    )


def _run(row: xr.Dataset, usd: Callable[[float], float] | None) -> SettlingRun:
    flop, worth = float(row["run_flop"]), float(row["run_evsi"])
    priced: dict[str, Any] = {} if usd is None else {"train_usd": usd(flop)}
    return SettlingRun(
        recipe=row["run_of"].item(),
        train_flop=flop,
        n_active_parameters=float(row["run_n_active"]),
        tokens=float(row["run_tokens"]),
        evsi_ln_speedup=worth,
        evsi_se_ln_speedup=float(row["run_evsi_se"]),
        evsi_percent_of_compute=100.0 * float(np.expm1(worth)),
        says=row["run_says"].item(),
        p_settled=float(row["run_p_settled"]),
        **priced,
    )
