"""Prose on what to do next: what to find out, which run to train, at what demand the choice turns, what moves the cost."""

from __future__ import annotations

import math

import xarray as xr

from bayesmoe.reporting.plan_text import TITLES
from bayesmoe.reporting.text import band_of, experts, percent
from bayesmoe.units import short

EVSI_NOTE = (
    "The worth of a run is what choosing by its outcome saves in expectation, estimated on draws that the rule was not fitted to, so rather too "
    "low than too high. It counts on the runs' law, noise and discrepancy as fitted, and not on surprises."
)
NO_RUN = "No run is worth what it costs: sign, or find out something else (the plan says what is worth knowing)."
_BY_MONEY = "By money alone, training and serving and a loss at its worth"
_SHOWN = 5


def worth_knowing(problem: str, evpi_usd: float, worth: xr.Dataset) -> str:
    """What is most worth knowing, in one sentence; nothing where money is not known."""
    if not worth or not math.isfinite(evpi_usd):
        return ""
    own = worth["evppi_usd"].sel(problem=problem)
    ranked = sorted(((float(own.sel(input=key)), str(key)) for key in own["input"].values), reverse=True)
    named = [f"{key} (USD {short(usd)})" for usd, key in ranked[:_SHOWN] if usd > 0.01 * evpi_usd]
    if not named:
        return f"Knowing everything would be worth USD {short(evpi_usd)}; no single number is worth much of it."
    return f"Knowing everything would be worth USD {short(evpi_usd)}. Of single numbers, most worth knowing: {', '.join(named)}."


def turns(problem: str, changes: xr.Dataset) -> str:
    """At which demand another count costs least, of those that are sure enough; nothing where money is not known."""
    if not changes:
        return ""
    part = changes.sel(problem=problem)
    least = int(part["num_experts_at_min_demand"])
    steps = [part.isel(change=number) for number in range(part.sizes["change"])]
    steps = [one for one in steps if int(one["to_num_experts"])]
    if not least:
        return ""
    if not steps:
        return f"{_BY_MONEY}, {experts(least)} costs least however much is served."
    said = [
        f"{experts(int(one['to_num_experts']))} from {short(float(one['break_even_tokens']))} tokens ({_range(one['break_even_tokens_band'])})"
        for one in steps
    ]
    return f"{_BY_MONEY}, by tokens served in all: {experts(least)} at first, then {', then '.join(said)}."


def _range(band: xr.DataArray) -> str:
    low, _, high = (float(value) for value in band)
    ends = "none" if low == 0 else short(low), "more than any" if math.isinf(high) else short(high)
    return "–".join(ends)


def settings(problem: str, found: xr.Dataset) -> str:
    """Learning rate and batch by paper; nothing where there is nothing to sign."""
    part, said = found.sel(problem=problem), []
    for name, label in (("learning_rate", "learning rate"), ("batch_tokens", "batch, tokens")):
        known = [
            str(paper) for paper in part["paper"].values if math.isfinite(float(part[name].sel(paper=paper, quantile=0.5)))
        ]
        if not known:
            continue
        each = ", ".join(f"{paper} {_setting(part[name].sel(paper=paper), large=name == 'batch_tokens')}" for paper in known)
        apart = float(part[f"{name}_log_sd"])
        said.append(
            f"{label}: {each}"
            + (f"; papers lie a factor {math.exp(apart):.1f} apart (one sd)" if math.isfinite(apart) else "")
        )
    outside = [str(paper) for paper in part["paper"].values if " times " in str(part["beyond"].sel(paper=paper).item())]
    if not said:
        return ""
    beyond = f" Beyond the runs behind {', '.join(outside)}." if outside else ""
    return f"What the literature would train it with: {'. '.join(said)}.{beyond}"


def _setting(values: xr.DataArray, *, large: bool) -> str:
    low, middle, high = (float(value) for value in values)
    if large:
        return band_of(values, large=True)
    return f"{middle:.2g}" if low == high else f"{middle:.2g} ({low:.2g}–{high:.2g})"


def best_run(found: xr.Dataset) -> str:
    """The run most worth training, in one sentence."""
    best, title = found.isel(run=0), TITLES[found.attrs["problem"]]
    about = f"For \u201c{title}\u201d, not knowing costs USD {short(float(found['evpi_usd']))} in expectation."
    if float(best["net_usd"]) <= 0:
        return f"{about} {NO_RUN}"
    return (
        f"{about} Most worth training: {experts(int(best['num_experts']))}, {short(float(best['n_dense']))} backbone, {short(float(best['tokens']))} tokens, "
        f"for USD {short(float(best['train_usd']))}: it saves USD {short(float(best['evsi_usd']))} in expectation."
    )


def next_runs(found: xr.Dataset, *, rows: int = 8) -> str:
    """The ranking of candidate runs, and the batch."""
    title, evpi = TITLES[found.attrs["problem"]], float(found["evpi_usd"])
    lines = [
        f"{title}: not knowing costs USD {short(evpi)} in expectation. Runs of at most {found.attrs['max_flop']:.3g} FLOP, by worth less cost:",
        f"  {'experts':<12}{'backbone':>10}{'tokens':>9}{'FLOP':>10}{'cost USD':>10}{'worth USD':>18}{'of EVPI':>9}",
    ]
    for number in range(min(rows, found.sizes["run"])):
        run = found.isel(run=number)
        worth, error = float(run["evsi_usd"]), float(run["evsi_se_usd"])
        lines.append(
            f"  {experts(int(run['num_experts'])):<12}{short(float(run['n_dense'])):>10}{short(float(run['tokens'])):>9}{float(run['train_flop']):>10.2g}"
            f"{short(float(run['train_usd'])):>10}{f'{short(worth)} ± {short(error)}':>18}{percent(worth / evpi if evpi else 0.0):>9}"
        )
    if float(found["net_usd"].max()) <= 0:
        lines.append(
            "No run is worth what it costs: sign, or find out something else (see the plan for what is worth knowing)."
        )
    if found.sizes["added"] > 1:
        lines.append("Together, one added after another:")
        for run, worth, paid in zip(
            found["batch_run"].values, found["batch_evsi_usd"].values, found["batch_train_usd"].values, strict=True
        ):
            one = found.isel(run=int(run))
            lines.append(
                f"  {experts(int(one['num_experts']))}, {short(float(one['n_dense']))} backbone, {short(float(one['tokens']))} tokens: worth USD "
                f"{short(float(worth))} so far, for USD {short(float(paid))}"
            )
    return "\n".join([*lines, EVSI_NOTE])


def tornado(found: xr.Dataset) -> str:
    """What each number of the scenario does to the cost and to the count."""
    lines, per = [], "" if found.attrs["unit"] == "USD" else " per million output tokens"
    for name in found["problem"].values:
        part = found.sel(problem=name)
        base = int(part["baseline_choice"])
        if not base:
            lines.append(f"{TITLES[str(name)]}: nothing to sign, so nothing to turn.")
            continue
        lines.append(f"{TITLES[str(name)]}: {experts(base)}, USD {short(float(part['baseline_cost']))}{per}")
        for key in part["input"].values:
            row = part.sel(input=key)
            ends = []
            for side in row["side"].values:
                own = row.sel(side=side)
                count = int(own["recommended"])
                said = f"USD {short(float(own['cost']))}, {experts(count)}" if count else "nothing to sign"
                ends.append(f"{float(own['value']):.3g}: {said}")
            lines.append(f"  {key!s:<34}{ends[0]:<34}{ends[1]}")
    return "\n".join(lines)
