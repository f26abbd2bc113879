"""A backtest in lines of text, and as plain data for JSON."""

from __future__ import annotations

from typing import Any

import numpy as np

from bayesmoe.criticism.compare import HIGH_K
from bayesmoe.forecasting.backtest import AVERAGE, AVERAGE_ALONE, BASELINE, Backtest


def lines(found: Backtest) -> list[str]:
    """The backtest in lines of text, its average first."""
    beyond = ", ".join(f"{axis} {times:.3g}x" for axis, times in found.extrapolation_factors.items())
    width = max(len(name) for name in found.scores)
    order = sorted(found.scores, key=[AVERAGE, AVERAGE_ALONE, BASELINE, *found.weights, *found.scores].index)
    head = f"{'':{width}}  50%  80%  90%  95%     CRPS     bias  90% width"
    rows = [
        f"{name:{width}} "
        + " ".join(f"{100 * value:3.0f}%" for value in found.scores[name]["coverage"].values)
        + f" {float(found.scores[name]['crps']):8.4f} {100 * float(found.scores[name]['bias']):+7.2f}% "
        + f"{float(found.scores[name]['sharpness']):8.4f}"
        for name in order
    ]
    weights = ", ".join(f"{name} {weight:.2f}" for name, weight in sorted(found.weights.items(), key=lambda w: -w[1]))
    return [
        f"{len(found.observed)} runs; largest against the largest seen: {beyond or 'the same'}",
        head,
        *rows,
        f"weights: {weights}",
        f"PSIS-LOO would pick: {found.loo_pick} (Pareto k above {HIGH_K} in {found.loo[found.loo_pick].doubtful} runs)",
    ]


def document(found: dict[str, Backtest]) -> dict[str, Any]:
    """Backtests as plain data for JSON."""
    return {
        "schema": "bayesmoe.backtest",
        "schema_version": 1,
        "backtests": [
            {
                "held_out": name,
                "runs": each.runs.tolist(),
                "observed_nats_per_token": each.observed.tolist(),
                "extrapolation_factors": each.extrapolation_factors,
                "weights": each.weights,
                "loo_pick": each.loo_pick,
                "loo": {law: {"elpd_nats": loo.elpd, "runs_with_high_k": loo.doubtful} for law, loo in each.loo.items()},
                "relative_error_per_distance": {
                    law: [miss if np.isfinite(miss) else None for miss in misses] for law, misses in each.misses.items()
                },
                "discrepancies": {
                    law: {
                        str(axis): {
                            "bias": float(own["bias"].sel(axis=axis).mean()),
                            "shift_sd": float(own["bias"].sel(axis=axis).std()),
                            "growth_median": float(own["scale"].sel(axis=axis).median()),
                        }
                        for axis in own["axis"].values
                    }
                    for law, own in each.discrepancies.items()
                },
                "forecasts": {
                    forecaster: {
                        "coverage": {
                            f"{level:g}": float(value)
                            for level, value in zip(score["level"].values, score["coverage"].values, strict=True)
                        },
                        "crps_nats_per_token": float(score["crps"]),
                        "bias_ln": float(score["bias"]),
                        "band_width_nats_per_token": float(score["sharpness"]),
                    }
                    for forecaster, score in each.scores.items()
                },
            }
            for name, each in found.items()
        ],
    }
