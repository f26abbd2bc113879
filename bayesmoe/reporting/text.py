"""Prose of the report and of the terminal on fits and gates."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import xarray as xr

from bayesmoe.units import percent, significant

BAND_NOTE = (
    "Numbers are medians with the 90% band in brackets: the true value lies outside one time in ten if the law holds."
)
SIMULATED = "Simulated data: the losses come from a published law, not from training. Nothing here is about real models."
AVERAGED = (
    "The bands average over laws, weighted by how well each forecast larger runs from smaller ones in this table, and widen with the extrapolation "
    "distance by as much as the laws were off there."
)
NO_FORECASTS = "This law was not tested on held-out runs: run bayesmoe backtest, and bayesmoe report --backtest to show the result here."
REPRODUCE = "Save the model spec as model.toml and the scenario as scenario.toml. With the same versions, these commands reproduce this page:"
WITHOUT_NOTE = "The last columns are the plan without each law. A decision that changes when one is dropped depends on it: train a run on which the laws disagree."
ONE_LAW = (
    "The bands assume this one law. A law that converged and fits its runs can still be wrong about larger models, the more so the farther "
    "the design extrapolates: take the bands as a lower bound on the uncertainty."
)
REGRET_NOTE = (
    "Expected regret is the objective of an expert count less that of the best count in the same draw, each with its own size, averaged over "
    "the draws where the count is feasible; P(feasible) says how many these are."
)


def extrapolation(ratios: dict[str, float], *, far: bool) -> str:
    """How far the design extrapolates, and whether the gate finds that too far."""
    names = {
        "n_dense": "backbone",
        "n_active": "active size",
        "tokens": "tokens",
        "num_experts": "experts",
        "train_flop": "training compute",
    }
    parts = [f"{names[name]} {_times(ratio)}" for name, ratio in ratios.items() if name in names]
    if not parts:
        return ""
    worst = max(ratios.values())
    verdict = (
        "This is inside the range of the runs."
        if worst <= 1
        else "This is an extrapolation."
        if not far
        else "This is a long extrapolation: train something in between before you commit."
    )
    return f"Against the largest run: {', '.join(parts)}. {verdict}"


def laws(weights: dict[str, float]) -> str:
    """``Law yun``, or ``Average of effective-size (47%), yun (21%)``, heaviest first."""
    if len(weights) == 1:
        return f"Law {next(iter(weights))}"
    return "Average of " + ", ".join(f"{name} ({percent(share)})" for name, share in weights.items())


def weight(share: float, sd: float) -> str:
    """A law's weight, with its sd over a bootstrap of the splits where that is known."""
    return percent(share) if math.isnan(sd) else f"{percent(share)} ± {100 * sd:.0f}%"


def loo_weight(share: float, doubtful: float) -> str:
    """A law's stacking weight by PSIS-LOO, with the number of runs of high Pareto k; a dash where it is not known."""
    if math.isnan(share):
        return "–"
    return percent(share) if not doubtful else f"{percent(share)} ({doubtful:.0f} of high k)"


def score(by_split: Any) -> str:
    """Mean log score over splits; a dash without any."""
    return f"{by_split.mean():.2f}" if len(by_split) else "–"


def discrepancy(part: str, own: xr.Dataset) -> str:
    """Of a part of the extrapolation distance, relative error of the change that a law predicts beyond the runs, mean and one sd."""
    return f"{part} {100 * float(own['bias'].mean()):+.0f}% ± {100 * float(own['scale'].median()):.0f}%"


def _times(ratio: float) -> str:
    return f"{significant(ratio)}×"


def identification(overlaps: dict[str, float], e_max_beyond: float | None, largest: float) -> str:
    """Which parameters the runs do not identify."""
    weak = [name for name, overlap in overlaps.items() if overlap > 0.8]
    said = (
        f"Not identified by these runs (prior and posterior overlap above 80%): {', '.join(weak)}."
        if weak
        else "The runs are informative about every parameter."
    )
    if e_max_beyond is not None:
        said += f" Saturation lies beyond the largest trained expert count ({largest:.0f}) with probability {percent(e_max_beyond)}."
    return said


def gate(verdict: str, method: str = "mcmc") -> str:
    """What the gate's verdict means for a posterior drawn by that method."""
    what = "sampler converged" if method == "mcmc" else "approximation holds"
    return {
        "PASS": f"The {what}. This says nothing yet about the law.",
        "REVIEW": "Look at the checks before you commit compute.",
        "FAIL": f"The {'sampler did not converge' if method == 'mcmc' else 'approximation does not hold'}. Do not decide on these numbers.",
    }[verdict]


def findings(checks: Iterable[Any]) -> list[str]:
    """What to do about each check of the gate that is not passed, worst first."""
    open_ = sorted((one for one in checks if one.verdict != "PASS"), key=lambda one: one.verdict)
    return [f"{one.name} ({one.where}): {one.recommendation}" for one in open_]


def gate_lines(verdict: str, method: str, checks: Iterable[Any]) -> str:
    """The gate on a terminal: its verdict, and what to do about each check that is not passed."""
    head = f"gate {verdict}. {gate(verdict, method)} {approximate(method)}".rstrip()
    return "\n  ".join([head, *findings(checks)])


def own_coverage(shares: Mapping[str, float]) -> str:
    """How the average's own forecasts of held-out larger runs did, by level of the band."""
    if not shares:
        return "The table is too small to hold out larger runs, so forecast accuracy is unknown."
    within = ", ".join(f"{percent(share)} lay in the {percent(float(level))} band" for level, share in shares.items())
    return (
        f"Of the larger runs held out in forward validation, {within} of the average, each split forecast from smaller runs with weights "
        "and discrepancies of the other splits, which share runs with it."
    )


def approximate(method: str) -> str:
    """What a posterior that was not sampled is worth; nothing for one that was."""
    if method == "mcmc":
        return ""
    return f"Approximate posterior ({method}, importance-resampled): good for a first look; sample with --method mcmc before you commit compute."
