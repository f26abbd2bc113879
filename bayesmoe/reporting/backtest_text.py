"""A backtest in lines of text."""

from __future__ import annotations

import xarray as xr

from bayesmoe.criticism.compare import HIGH_K
from bayesmoe.forecasting.backtest import AVERAGE, AVERAGE_ALONE, BASELINE, Backtest
from bayesmoe.terminal import table


def lines(result: Backtest) -> list[str]:
    """The backtest in lines of text, its average first."""
    beyond = ", ".join(f"{axis} {times:.3g}x" for axis, times in result.extrapolation_factors.items())
    order = sorted(result.scores, key=[AVERAGE, AVERAGE_ALONE, BASELINE, *result.weights, *result.scores].index)
    rows = [
        (
            name,
            *(f"{100 * value:.0f}%" for value in result.scores[name]["coverage"].values),
            f"{float(result.scores[name]['crps']):.4f}",
            f"{100 * float(result.scores[name]['bias']):+.2f}%",
            f"{float(result.scores[name]['sharpness']):.4f}",
        )
        for name in order
    ]
    weights = ", ".join(f"{name} {weight:.2f}" for name, weight in sorted(result.weights.items(), key=lambda w: -w[1]))
    decisions = [] if result.decisions is None else _decisions(result.decisions)
    return [
        f"{len(result.observed)} runs; largest against the largest seen: {beyond or 'the same'}",
        table(("coverage of", "50%", "80%", "90%", "95%", "CRPS", "bias", "90% width"), rows, indent=2).lstrip(" "),
        f"weights: {weights}",
        f"PSIS-LOO would pick: {result.loo_pick} (Pareto k above {HIGH_K} in {result.loo[result.loo_pick].doubtful} runs)",
        *decisions,
    ]


def _decisions(found: xr.Dataset) -> list[str]:
    """Whether the average was right about expert counts."""
    shares = "  ".join(
        f"{100 * level:.0f}%: {100 * share:.0f}%"
        for level, share in zip(found["level"].values, found["coverage"].values, strict=True)
    )
    return [
        f"differences between {int(found['differences'])} neighboring expert counts, coverage {shares}; "
        f"sd predicted {float(found['predicted_sd']):.4f}, error {float(found['error']):.4f}",
        f"best expert count at 25 prices: stated P(best) {float(found['stated']):.2f}, right {float(found['right']):.2f}, "
        f"reliability slope {float(found['slope']):.2f}, log score {float(found['log_score']):.2f}",
    ]
