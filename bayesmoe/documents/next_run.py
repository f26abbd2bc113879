"""Candidate runs, ranked by what they are worth less what they cost."""

from __future__ import annotations

import datetime
import itertools
from collections.abc import Sequence
from typing import ClassVar, Self

import xarray as xr
from pydantic import Field

import bayesmoe
from bayesmoe.decisions.run_plan import ScheduledRun, Verdict, recommended_run
from bayesmoe.documents.base import Count, Document, Experts, Quantiles, Section


class CandidateRun(Section):
    """One candidate."""

    num_experts: Experts
    top_k: Experts
    granularity: float
    n_dense_parameters: float
    n_active_parameters: float
    n_total_parameters: float
    tokens: float
    loss_nats_per_token: Quantiles = Field(description="predictive distribution of its loss")
    train_flop: float
    train_usd: float
    evsi_usd: float = Field(description="expected value of its outcome to the plan")
    evsi_se_usd: float = Field(description="standard error of the estimate")
    net_usd: float = Field(description="EVSI less cost")
    gpu_hours: float = Field(description="median, on the training accelerator of the scenario")
    verdict: Verdict = Field(description="whether EVSI lies two standard errors above or below the cost")

    @classmethod
    def of(cls, run: xr.Dataset) -> Self:
        """From one row of the ranking."""
        sizes = {f"{name}_parameters": float(run[name]) for name in ("n_dense", "n_active", "n_total")}
        costs = ("granularity", "tokens", "train_flop", "train_usd", "evsi_usd", "evsi_se_usd", "net_usd", "gpu_hours")
        return cls(
            verdict=run["verdict"].item(),
            num_experts=int(run["num_experts"]),
            top_k=int(run["top_k"]),
            loss_nats_per_token=Quantiles.of(run["loss"].values),
            **sizes,
            **{name: float(run[name]) for name in costs},
        )


class BatchStep(Section):
    """A run added to the batch."""

    run: Count = Field(description="index in `runs`")
    evsi_usd_so_far: float
    evsi_se_usd_so_far: float = Field(description="standard error of the estimate")
    train_usd_so_far: float
    start: datetime.datetime | None = Field(default=None, description="one after the other on the GPUs given")
    end: datetime.datetime | None = None
    days: float | None = None
    gpu_hours: float | None = None


class NextRunDocument(Document):
    """Candidate runs, best first, and the batch to train together in the order of its greedy choice."""

    kind: ClassVar[str] = "next_run"
    version: ClassVar[int] = 1
    command: ClassVar[str] = "bayesmoe next-run --json"

    bayesmoe_version: str
    problem: str
    budgets: Experts = Field(description="training budgets of the roadmap, to all of which a run is worth something")
    max_flop: float = Field(description="FLOP of the most expensive candidate")
    draws: Experts
    evpi_usd: float = Field(description="expected value of perfect information")
    plan_num_experts: Experts | None = Field(
        description="expert count that the plan recommends; null where it recommends nothing"
    )
    recommended_run: Count | None = Field(
        description="index in `runs` of the best that is worth its cost; null where none is, where nobody can tell, or where the plan recommends nothing"
    )
    runs: tuple[CandidateRun, ...]
    batch: tuple[BatchStep, ...]

    @classmethod
    def of(cls, ranking: xr.Dataset, batch: Sequence[ScheduledRun] = ()) -> NextRunDocument:
        """The document of :func:`bayesmoe.decisions.next_run.next_runs`, with dates where the batch was scheduled."""
        names = ("run", "evsi_usd", "evsi_se_usd", "train_usd")
        steps = zip(*(ranking[f"batch_{name}"].values for name in names), strict=True)
        dates = [{"start": one.start, "end": one.end, "days": one.days, "gpu_hours": one.gpu_hours} for one in batch]
        return cls(
            bayesmoe_version=bayesmoe.__version__,
            problem=ranking.attrs["problem"],
            budgets=ranking.attrs["budgets"],
            max_flop=ranking.attrs["max_flop"],
            draws=ranking.attrs["draws"],
            evpi_usd=float(ranking["evpi_usd"]),
            plan_num_experts=ranking.attrs["recommended_num_experts"] or None,
            recommended_run=recommended_run(ranking),
            runs=tuple(CandidateRun.of(ranking.isel(run=number)) for number in range(ranking.sizes["run"])),
            batch=tuple(
                BatchStep(
                    run=int(run),
                    evsi_usd_so_far=float(worth),
                    evsi_se_usd_so_far=float(error),
                    train_usd_so_far=float(cost),
                    **when,
                )
                for (run, worth, error, cost), when in itertools.zip_longest(steps, dates, fillvalue={})
            ),
        )
