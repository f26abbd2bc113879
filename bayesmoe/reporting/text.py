"""Prose of the report and of the terminal on fits and gates, and numbers rounded to their uncertainty."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import xarray as xr

from bayesmoe.units import short, significant

BAND_NOTE = "Numbers are medians with the 90% band in brackets: the truth lies outside in one case of ten if the law holds."
SIMULATED = "Simulated data: the losses come from a published law, not from training. Nothing here is about real models."
AVERAGED = (
    "The bands average over laws by how well each forecast larger runs from smaller ones in this table, and widen with the distance from "
    "the runs by as much as laws have missed there."
)
NO_FORECASTS = "No forecast of this law was tested on held-out runs: bayesmoe backtest does so, and bayesmoe report --backtest shows it here."
REPRODUCE = "Save the model spec as model.toml and the scenario as scenario.toml. With the same versions, these commands make this page again:"
WITHOUT_NOTE = "What the plan would be without each law. A decision that changes with one of them rests on it: train the run that tells them apart."
ONE_LAW = (
    "The bands hold under this one law. A law that converged and fits its runs can still miss larger models, and the farther the "
    "choice lies beyond the runs the more: take the bands as a lower bound on the uncertainty."
)
REGRET_NOTE = (
    "Regret is what an expert count costs over the best one, with its size chosen anew in each draw. It leaves out draws where "
    "the count cannot meet the constraint; the chance of meeting it stands beside it."
)


def band(low: float, middle: float, high: float, *, large: bool = False) -> str:
    """``2.161 (2.123–2.204)``, rounded so that the band has two digits, or each number where it spans a factor of three; counts as ``3.1B``.

    Parameters
    ----------
    low, middle, high : float
        The 5%, 50% and 95% quantiles.
    large : bool
        Whether the value is a count to be shortened.
    """
    if not all(map(math.isfinite, (low, middle, high))):
        return "–"
    if low == high and large:
        return short(middle)
    if large or high >= 1e5:
        return f"{short(middle)} ({short(low)}–{short(high)})"
    if low > 0 and high / low > 3:
        return f"{significant(middle)} ({significant(low)}–{significant(high)})"
    width = high - low
    if width == 0:
        return significant(middle)
    digits = max(0, min(6, 1 - math.floor(math.log10(width))))
    return f"{middle:.{digits}f} ({low:.{digits}f}–{high:.{digits}f})"


def band_of(values: xr.DataArray, *, large: bool = False) -> str:
    """Band of a variable that has only the ``quantile`` dimension left."""
    return band(*(float(value) for value in values), large=large)


def percent(share: float) -> str:
    """A probability, never rounded to a certainty it is not."""
    if 0 < share < 0.01:
        return "< 1%"
    if 0.99 < share < 1:
        return "> 99%"
    return f"{100 * share:.0f}%"


def experts(count: int) -> str:
    """``dense`` or ``16 experts``."""
    return "dense" if count == 1 else f"{count} experts"


def listed(counts: Iterable[int]) -> str:
    """``4, 8 or 16 experts``."""
    names = ["dense" if count == 1 else str(count) for count in counts]
    if not names:
        return "none"
    head = ", ".join(names[:-1])
    joined = f"{head} or {names[-1]}" if head else names[-1]
    return joined if names[-1] == "dense" else f"{joined} experts"


def extrapolation(ratios: dict[str, float], *, far: bool) -> str:
    """How far the chosen model lies beyond the runs, and whether the gate finds that too far."""
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
        else "This is a long extrapolation: train something in between before you sign."
    )
    return f"Against the largest run: {', '.join(parts)}. {verdict}"


def laws(weights: dict[str, float]) -> str:
    """``Law yun``, or ``Average of house (47%), yun (21%)``, heaviest first."""
    if len(weights) == 1:
        return f"Law {next(iter(weights))}"
    return "Average of " + ", ".join(f"{name} ({percent(share)})" for name, share in weights.items())


def weight(share: float, sd: float) -> str:
    """A law's weight, with how far it hangs on the choice of cuts where that is known."""
    return percent(share) if math.isnan(sd) else f"{percent(share)} ± {100 * sd:.0f}%"


def loo_weight(share: float, doubtful: float) -> str:
    """A law's stacking weight by PSIS-LOO, with the number of runs that make it doubtful; a dash where it is not known."""
    if math.isnan(share):
        return "–"
    return percent(share) if not doubtful else f"{percent(share)} ({doubtful:.0f} of high k)"


def score(by_split: Any) -> str:
    """Mean log score over splits; a dash without any."""
    return f"{by_split.mean():.2f}" if len(by_split) else "–"


def discrepancy(axis: str, own: xr.Dataset) -> str:
    """Along an axis, relative error of the change that a law predicts beyond the runs, mean and one sd."""
    return f"{axis} {100 * float(own['bias'].mean()):+.0f}% ± {100 * float(own['scale'].median()):.0f}%"


def _times(ratio: float) -> str:
    return f"{significant(ratio)}×"


def identification(overlaps: dict[str, float], e_max_beyond: float | None, largest: float) -> str:
    """What the runs left to the prior."""
    weak = [name for name, overlap in overlaps.items() if overlap > 0.8]
    said = (
        f"Left to the prior by these runs (overlap above 80%): {', '.join(weak)}."
        if weak
        else "The runs moved every parameter."
    )
    if e_max_beyond is not None:
        said += f" Saturation lies beyond the largest trained expert count ({largest:.0f}) with probability {percent(e_max_beyond)}."
    return said


def gate(verdict: str, method: str = "mcmc") -> str:
    """What the gate's verdict means for a posterior drawn by that method."""
    what = "sampler converged" if method == "mcmc" else "approximation holds"
    return {
        "PASS": f"The {what}. This says nothing yet about the law.",
        "REVIEW": "Something needs a look before anyone signs: see the checks.",
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


def own_coverage(share: float) -> str:
    """How the average's own forecasts of held-out larger runs did."""
    if math.isnan(share):
        return "The table is too small to hold out larger runs: how well the laws forecast is not known."
    return (
        f"Of the larger runs that were held out to weigh the laws, {percent(share)} lay in the average's 90% band, each forecast from "
        "smaller runs with weights that it had no part in."
    )


def approximate(method: str) -> str:
    """What a posterior that was not sampled is; nothing for one that was."""
    if method == "mcmc":
        return ""
    return f"Approximate posterior ({method}, importance-resampled): good for a look, sample with --method mcmc before you sign."
