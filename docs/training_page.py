"""The text of ``docs/training.md``, from what ``make_training.py`` measured."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

LEVELS = (0.5, 0.8, 0.9)
COARSE = 4096
"""Experts at least so wide are coarse."""


def page(points: Any, models: Any, others: dict[str, np.ndarray], runs: Any, names: list[str], whole: Any) -> str:
    """The page."""
    moe = points.rows.model.num_experts > 1
    coarse = moe & (points.rows.model.d_expert >= COARSE)
    parts = {
        "all": np.ones(len(moe), bool),
        "dense": ~moe,
        "MoE": moe,
        "coarse MoE": coarse,
        "fine-grained MoE": moe & ~coarse,
    }
    lines = [
        "# Training throughput of models that were not measured",
        "",
        f"Made by `python docs/make_training.py training`: {len(moe)} public measurements of tokens per second and GPU while training, of "
        f"{points.frame['architecture'].nunique()} models;",
        "rows that their sources or the data card call unsound are left out. One model at a time is left out of the calibration and predicted, its hardware,",
        "precision, layout and software being known. Cells: median absolute error of tokens per second and GPU, bias (factor), and how many the 50, 80",
        "and 90% bands cover. Bands are of single measurements. Coarse experts are at least 4,096 wide (Mixtral, Grok-1, Llama-4, Nemotron-3-Ultra).",
        "",
        "| points | models | error / bias | 50% | 80% | 90% | cell mean of MoE, chip and precision | linear fit |",
        "|---|---|---|---|---|---|---|---|",
        *(_row(f"{label} ({mask.sum()})", mask, points, models, others) for label, mask in parts.items()),
        "",
        "Half of the models have a smaller error of their median row than "
        f"{100 * np.median(_of_models(points, models.error)):.0f}% (cell mean {100 * np.nanmedian(_of_models(points, others['cell mean'])):.0f}%, linear fit "
        f"{100 * np.median(_of_models(points, others['linear fit'])):.0f}%); of the MoEs, "
        f"{100 * np.median(_of_models(points, models.error, moe)):.0f}% (cell mean {100 * np.nanmedian(_of_models(points, others['cell mean'], moe)):.0f}%, linear fit "
        f"{100 * np.median(_of_models(points, others['linear fit'], moe)):.0f}%).",
    ]
    for title, column in (("By chip", "hardware"), ("By precision", "precision"), ("By model", "architecture")):
        lines += [
            "",
            f"## {title}",
            "",
            f"| {column} | models | error / bias | 50% | 80% | 90% | cell mean | linear fit |",
            "|---|---|---|---|---|---|---|---|",
        ]
        values = points.frame[column].to_numpy()
        for name in np.unique(values):
            lines.append(_row(f"{name} ({(values == name).sum()})", values == name, points, models, others))
    return "\n".join([*lines, *_whole_runs(runs, names, whole), ""])


def _row(label: str, mask: np.ndarray, points: Any, models: Any, others: dict[str, np.ndarray]) -> str:
    error, inside = models.error[mask], [100 * models.inside(level)[mask].mean() for level in LEVELS]
    beside = [
        f"{100 * np.nanmedian(np.abs(other[mask])):.0f}%" if np.isfinite(other[mask]).any() else "–"
        for other in others.values()
    ]
    cells = [
        label,
        str(points.frame["architecture"][mask].nunique()),
        _error(error),
        *(f"{share:.0f}%" for share in inside),
        *beside,
    ]
    return f"| {' | '.join(cells)} |"


def _error(error: np.ndarray) -> str:
    return f"{100 * np.median(np.abs(error)):.0f}% / {1 + np.median(error):.2f}x"


def _of_models(points: Any, error: np.ndarray, keep: np.ndarray | None = None) -> np.ndarray:
    """Median absolute error of each model."""
    names = points.frame["architecture"].to_numpy()
    chosen: Iterable[str] = np.unique(names if keep is None else names[keep])
    return np.array(
        [
            np.nanmedian(np.abs(error[names == name])) if np.isfinite(error[names == name]).any() else np.nan
            for name in chosen
        ]
    )


def _whole_runs(runs: Any, names: list[str], whole: Any) -> list[str]:
    learned = runs.learned_router > 0
    rate, flop = 1.0 / runs.seconds_per_token, runs.rows.model.flop / runs.rows.chip.flop_per_s
    low, middle, high = np.exp(-np.quantile(whole.draws, [0.95, 0.5, 0.05], axis=0))
    inside = whole.inside(0.9)
    lines = [
        "",
        "## Whole runs",
        "",
        "Runs on real data with learned routers, each left out and predicted from all points, the pairs of routers and the other runs. Layouts are not on",
        "record: the fastest that fits is taken, before anything is fitted. Percentages are of the 16-bit peak; where all hours count, restarts and",
        f"evaluation are in them. The 90% band covers {inside.sum()} of {len(inside)}, and {inside[learned].sum()} of {learned.sum()} with real routers.",
        "",
        "| run | hours | measured | predicted | 90% band | covered |",
        "|---|---|---|---|---|---|",
    ]
    for i, name in enumerate(names):
        hours = "all" if runs.whole_run[i] else "steady steps"
        said = [f"{100 * value * flop[i]:.0f}%" for value in (rate[i], middle[i], low[i], high[i])]
        lines.append(
            f"| {name} | {hours} | {said[0]} | {said[1]} | {said[2]} to {said[3]} | {'yes' if inside[i] else 'no'} |"
        )
    return lines
