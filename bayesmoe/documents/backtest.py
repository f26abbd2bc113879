"""Forecasts of held-out larger runs, and their scores."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Self

import xarray as xr
from pydantic import Field

from bayesmoe.documents.base import Count, Document, Number, Probability, Section

if TYPE_CHECKING:
    from bayesmoe.forecasting.backtest import Backtest


class LooSection(Section):
    """PSIS-LOO of a law on the runs seen."""

    elpd_nats: float
    runs_with_high_k: Count = Field(description="runs whose Pareto k is above 0.7")


class DiscrepancySection(Section):
    """A law's discrepancy along a covariate, as shares of what the law says the log loss would move."""

    bias: float = Field(description="mean")
    bias_sd: float
    scale_median: float = Field(description="median of its standard deviation")

    @classmethod
    def of(cls, along: xr.Dataset) -> Self:
        """From its draws along one axis."""
        bias = along["bias"]
        return cls(bias=float(bias.mean()), bias_sd=float(bias.std()), scale_median=float(along["scale"].median()))


class ForecastScore(Section):
    """How well a forecaster did."""

    coverage: dict[str, Probability] = Field(description="by nominal level, share of the runs in the central interval")
    crps_nats_per_token: float = Field(description="mean continuous ranked probability score; lower is better")
    bias_ln: float = Field(description="mean of ln observed over the median forecast")
    band_width_nats_per_token: float = Field(description="mean width of the 90% band")

    @classmethod
    def of(cls, score: xr.Dataset) -> Self:
        """From :func:`bayesmoe.forecasting.scores.scores`."""
        levels = zip(score["level"].values, score["coverage"].values, strict=True)
        return cls(
            coverage={f"{level:g}": float(share) for level, share in levels},
            crps_nats_per_token=float(score["crps"]),
            bias_ln=float(score["bias"]),
            band_width_nats_per_token=float(score["sharpness"]),
        )


class DecisionCalibration(Section):
    """Whether the average was right about what is decided: differences between expert counts, and the best of them at a price."""

    differences: Count = Field(description="neighboring expert counts of runs held out that differ in nothing else")
    coverage: dict[str, Probability] = Field(
        description="by nominal level, share of the differences of ln loss in the central interval"
    )
    crps_ln: float
    predicted_sd_ln: float
    error_ln: float = Field(description="root mean square error of the median difference")
    stated_probability_best: Probability = Field(description="mean, of the count chosen at each of 25 prices of a doubling")
    right: Probability = Field(description="share of choices that were best")
    reliability_slope: Number = Field(description="of being best on the stated probability; 1 is dependable")
    log_score_nats: float = Field(description="mean log of the probability that the best count was given")
    regret_stated_ln: float
    regret_suffered_ln: float

    @classmethod
    def of(cls, found: xr.Dataset) -> Self:
        """From :func:`bayesmoe.forecasting.decision_calibration.decision_calibration`."""
        levels = zip(found["level"].values, found["coverage"].values, strict=True)
        return cls(
            differences=int(found["differences"]),
            coverage={f"{level:g}": float(share) for level, share in levels},
            crps_ln=float(found["crps"]),
            predicted_sd_ln=float(found["predicted_sd"]),
            error_ln=float(found["error"]),
            stated_probability_best=float(found["stated"]),
            right=float(found["right"]),
            reliability_slope=float(found["slope"]),
            log_score_nats=float(found["log_score"]),
            regret_stated_ln=float(found["regret_stated"]),
            regret_suffered_ln=float(found["regret_suffered"]),
        )


class HoldOut(Section):
    """One hold-out."""

    held_out: str = Field(description="condition that held runs out")
    runs: tuple[str, ...]
    observed_nats_per_token: tuple[float, ...]
    extrapolation_factors: dict[str, float] = Field(description="by covariate, largest value held out over largest seen")
    weights: dict[str, Probability] = Field(description="by law, its weight in the average; they sum to 1")
    loo_pick: str = Field(description="law that PSIS-LOO prefers on the runs seen")
    loo: dict[str, LooSection]
    relative_error_per_distance: dict[str, tuple[Number, ...]] = Field(
        description="by law, its error as a share of what it says the log loss would move: of the runs held out, then of each split of the runs seen"
    )
    discrepancies: dict[str, dict[str, DiscrepancySection]] = Field(
        description="by law and part of the extrapolation distance"
    )
    forecasts: dict[str, ForecastScore] = Field(description="by forecaster: averages, each law, and the baseline")
    decisions: DecisionCalibration | None = Field(
        description="null where no two runs held out differ in their expert count alone"
    )

    @classmethod
    def of(cls, held_out: str, backtest: Backtest) -> Self:
        """From a backtest and the condition that held its runs out."""
        laws: dict[str, Any] = {
            law: {str(part): DiscrepancySection.of(own.sel(part=part)) for part in own["part"].values}
            for law, own in backtest.discrepancies.items()
        }
        return cls(
            held_out=held_out,
            runs=tuple(map(str, backtest.runs)),
            observed_nats_per_token=tuple(backtest.observed.tolist()),
            extrapolation_factors=backtest.extrapolation_factors,
            weights=backtest.weights,
            loo_pick=backtest.loo_pick,
            loo={law: LooSection(elpd_nats=one.elpd, runs_with_high_k=one.doubtful) for law, one in backtest.loo.items()},
            relative_error_per_distance={law: tuple(errors) for law, errors in backtest.misses.items()},
            discrepancies=laws,
            forecasts={name: ForecastScore.of(score) for name, score in backtest.scores.items()},
            decisions=None if backtest.decisions is None else DecisionCalibration.of(backtest.decisions),
        )


class BacktestDocument(Document):
    """Backtests, one a hold-out."""

    kind: ClassVar[str] = "backtest"
    version: ClassVar[int] = 2
    command: ClassVar[str] = "bayesmoe backtest --json"

    backtests: tuple[HoldOut, ...]

    @classmethod
    def of(cls, backtests: Mapping[str, Backtest]) -> BacktestDocument:
        """The document of backtests by the condition that held their runs out."""
        return cls(backtests=tuple(HoldOut.of(name, one) for name, one in backtests.items()))
