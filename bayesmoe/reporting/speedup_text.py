"""Prose of a speedup on a terminal."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import xarray as xr

from bayesmoe.decisions.speedup_runs import settling_run
from bayesmoe.terminal import table
from bayesmoe.units import percent, short, significant

_MUCH = 1e3
"""Speedups beyond are written as more than that."""


def speedup(found: xr.Dataset, usd: Callable[[float], float] | None = None) -> str:
    """What :func:`bayesmoe.decisions.speedup.speedup` found: the verdict first, then by budget, by scale, at equal designs, and the run to train."""
    return "\n".join(
        [
            verdict(found),
            *(f"Note: {each}" for each in found.attrs["warnings"]),
            "",
            by_budget(found),
            "",
            trend(found),
            equal_designs(found),
            *(("", runs(found, usd)) if found.attrs["verdict"] == "UNDECIDED" else ()),
            what_settles(found, usd),
        ]
    )


def verdict(found: xr.Dataset) -> str:
    """The verdict and its probability, in a sentence."""
    said, here = found.attrs, found.isel(budget=0)
    above = percent(float(here["p_above"]))
    return (
        f"{said['verdict']}: {said['of']} over {said['over']} at {_flop(here)} FLOP, speedup {band(here['speedup'].values)}; above "
        f"{said['threshold']:g} with probability {above}, asked {percent(said['probability'])}."
    )


def by_budget(found: xr.Dataset) -> str:
    """A row a budget: bands of the speedup, and its probabilities."""
    threshold, rows = found.attrs["threshold"], []
    beyond = () if threshold == 1.0 else (f"P(> {threshold:g})",)
    heads = ("FLOP", "", "speedup (90%)", "50%", "P(> 1)", *beyond, "verdict")
    for number in range(found.sizes["budget"]):
        row = found.isel(budget=number)
        low, high = (float(row["speedup"].sel(quantile=level)) for level in (0.25, 0.75))
        rows.append(
            (
                _flop(row),
                str(row["place"].item()),
                band(row["speedup"].values),
                f"{_times(low)}–{_times(high)}",
                percent(float(row["p_faster"])),
                *((percent(float(row["p_above"])),) if beyond else ()),
                str(row["verdict"].item()),
            )
        )
    return table(heads, rows, text=2)


def trend(found: xr.Dataset) -> str:
    """How the speedup changes with scale."""
    low, middle, high = found["exponent"].sel(quantile=[0.05, 0.5, 0.95]).values
    about = {
        "grows": "The speedup grows with scale",
        "shrinks": "The speedup shrinks with scale",
        "unclear": "Whether the speedup grows or shrinks with scale is unclear",
    }
    return (
        f"{about[found.attrs['trend']]}: d ln s / d ln C is {_signed(middle)} ({_signed(low)} to {_signed(high)}) from the largest run to a "
        f"hundred times it, rising with probability {percent(float(found['p_grows']))}."
    )


def equal_designs(found: xr.Dataset) -> str:
    """Whether runs of both at one design would tell them apart."""
    row = found.isel(budget=0)
    low, middle, high = (1e3 * float(row["loss_difference"].sel(quantile=level)) for level in (0.05, 0.5, 0.95))
    shares = ", ".join(
        f"{percent(float(share))} of draws with {count}"
        for count, share in zip(row["seeds"].values, row["p_distinguished"].values, strict=True)
    )
    needed = float(row["seeds_needed"])
    seeds = f"{needed:.0f} of each tell the median" if np.isfinite(needed) else "no number of seeds tells the median"
    return (
        f"At one design for both ({short(float(row['n_active']))} active, {short(float(row['tokens']))} tokens) {found.attrs['of']} is better by "
        f"{middle:.1f} ({low:.1f} to {high:.1f}) thousandths of a nat; one run has noise of {1e3 * float(row['noise_nats']):.1f}. Two standard "
        f"deviations of noise tell them apart in {shares} runs of each; {seeds}."
    )


def runs(found: xr.Dataset, usd: Callable[[float], float] | None = None) -> str:
    """Candidate runs with what each would be worth."""
    heads = ("train", "FLOP", *(("USD",) if usd else ()), "active", "tokens", "worth, % of compute", "P(settled)")
    rows = []
    for number in range(found.sizes["run"]):
        row = found.isel(run=number)
        flop, worth, error = (float(row[name]) for name in ("run_flop", "run_evsi", "run_evsi_se"))
        said = f"{100 * worth:.2f} ± {100 * error:.2f}" if row["run_says"].item() == "worth" else "cannot tell"
        price = (short(usd(flop)),) if usd else ()
        sizes = (short(float(row["run_n_active"])), short(float(row["run_tokens"])))
        rows.append((str(row["run_of"].item()), f"{flop:.2g}", *price, *sizes, said, percent(float(row["run_p_settled"]))))
    return table(heads, rows)


def what_settles(found: xr.Dataset, usd: Callable[[float], float] | None = None) -> str:
    """The run to train, in a sentence; or that none is needed, or none suffices."""
    if found.attrs["verdict"] != "UNDECIDED":
        return "No run is needed for this verdict."
    place, asked = settling_run(found), percent(found.attrs["probability"])
    if place is None:
        best = found.isel(run=int(found["run_p_settled"].values.argmax()))
        return f"None of these settles it with probability {asked}; the best, {_run(best, usd)}, does with {percent(float(best['run_p_settled']))}."
    return f"The cheapest that settles it with probability {asked}: {_run(found.isel(run=place), usd)}."


def band(quantiles: Sequence[float] | np.ndarray) -> str:
    """Median and 90% band of a speedup: ``1.24 (1.10–1.41)``, ends beyond a thousand as such."""
    return f"{_times(quantiles[3])} ({_times(quantiles[0])}–{_times(quantiles[-1])})"


def _times(value: float) -> str:
    if value > _MUCH:
        return "> 1000"
    return "< 0.001" if value < 1.0 / _MUCH else significant(float(value), 3)


def _signed(value: float) -> str:
    return f"{value:+.3f}" if np.isfinite(value) else ("+∞" if value > 0 else "-∞" if value < 0 else "–")


def _flop(row: xr.Dataset) -> str:
    return f"{float(row['train_flop']):.3g}"


def _run(row: xr.Dataset, usd: Callable[[float], float] | None) -> str:
    flop, name = float(row["run_flop"]), str(row["run_of"].item())
    what = "a run of each" if name == "both" else f"a run of {name}"
    price = f", USD {short(usd(flop))}" if usd else ""
    return f"{what} with {short(float(row['run_n_active']))} active parameters and {short(float(row['run_tokens']))} tokens, {flop:.2g} FLOP{price}"
