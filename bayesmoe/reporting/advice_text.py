"""Prose on what to do next: what to find out, which run to train, at which demand the choice changes, what drives the cost."""

from __future__ import annotations

import math

import xarray as xr

from bayesmoe.decisions.decision import Decision
from bayesmoe.decisions.outcome import Band
from bayesmoe.planning.problems import problem_named
from bayesmoe.units import band, experts, percent, short

EVSI_NOTE = (
    "The value of a run (EVSI) is what choosing by its outcome saves in expectation, cross-validated over draws, so it errs on the low side. "
    "It assumes that law, noise and discrepancy are as fitted."
)
NO_RUN = "None of these runs is shown to be worth what it costs; the plan says what else is worth knowing."
_BY_COST = "By total cost (training, serving, and loss at its worth)"
_SHOWN = 5


def worth_knowing(decision: Decision) -> str:
    """What is most worth knowing, in one sentence; nothing without a demand."""
    evpi = decision.evpi_usd
    if evpi is None or not math.isfinite(evpi):
        return ""
    ranked = sorted(((usd, key) for key, usd in decision.advice.evppi_usd.items()), reverse=True)
    named = [f"{key} (USD {short(usd)})" for usd, key in ranked[:_SHOWN] if usd > 0.01 * evpi]
    perfect = f"Perfect information would be worth USD {short(evpi)} (EVPI)"
    if not named:
        return f"{perfect}; no single input is worth much of it."
    return f"{perfect}. Single inputs most worth knowing (EVPPI): {', '.join(named)}."


def break_even(decision: Decision) -> str:
    """At which demand another count costs least; nothing without a demand, or without a feasible design."""
    least, changes = decision.advice.num_experts_at_min_demand, decision.advice.break_even
    if not least:
        return ""
    if not changes:
        return f"{_BY_COST}, {experts(least)} costs least at any demand."
    steps = ", then ".join(
        f"{experts(one.to_num_experts)} from {short(one.tokens)} tokens ({_range(one.band)})" for one in changes
    )
    return f"{_BY_COST}, by total tokens served: {experts(least)} at first, then {steps}."


def _range(band: Band) -> str:
    ends = "none" if band.low == 0 else short(band.low), "more than any" if math.isinf(band.high) else short(band.high)
    return "–".join(ends)


def settings(decision: Decision) -> str:
    """Learning rate and batch by paper; nothing where there is no recommended design."""
    advice, parts = decision.advice, []
    for name, label in (("learning_rate", "learning rate"), ("batch_tokens", "batch, tokens")):
        known = {
            paper: getattr(one, name) for paper, one in advice.settings.items() if math.isfinite(getattr(one, name).median)
        }
        if not known:
            continue
        each = ", ".join(f"{paper} {_setting(value, large=name == 'batch_tokens')}" for paper, value in known.items())
        spread = getattr(advice, f"{name}_log_sd")
        parts.append(
            f"{label}: {each}"
            + (f"; papers differ by a factor of {math.exp(spread):.1f} (one sd)" if math.isfinite(spread) else "")
        )
    if not parts:
        return ""
    outside = [paper for paper, one in advice.settings.items() if " times " in one.outside]
    note = f" An extrapolation for {', '.join(outside)}." if outside else ""
    return f"Training settings by the literature's laws: {'. '.join(parts)}.{note}"


def _setting(value: Band, *, large: bool) -> str:
    if large:
        return band(*value, large=True)
    return f"{value.median:.2g}" if value.low == value.high else f"{value.median:.2g} ({value.low:.2g}–{value.high:.2g})"


def best_run(found: xr.Dataset) -> str:
    """The run most worth training, in one sentence."""
    best, title = found.isel(run=0), problem_named(found.attrs["problem"]).title
    about = (
        f"For \u201c{title}\u201d, the expected opportunity loss of deciding now is USD {short(float(found['evpi_usd']))}."
    )
    if float(best["net_usd"]) <= 0:
        return f"{about} {NO_RUN}"
    return (
        f"{about} Most worth training: {experts(int(best['num_experts']))}, {short(float(best['n_dense']))} backbone, {short(float(best['tokens']))} tokens, "
        f"for USD {short(float(best['train_usd']))}: it saves USD {short(float(best['evsi_usd']))} in expectation."
    )


def next_runs(found: xr.Dataset, *, rows: int = 8) -> str:
    """The ranking of candidate runs, and the batch."""
    title, evpi = problem_named(found.attrs["problem"]).title, float(found["evpi_usd"])
    lines = [
        f"{title}: the expected opportunity loss of deciding now is USD {short(evpi)}. Runs of at most {found.attrs['max_flop']:.3g} FLOP, by value less cost:",
        f"  {'experts':<12}{'backbone':>10}{'tokens':>9}{'FLOP':>10}{'cost USD':>10}{'EVSI USD':>18}{'of EVPI':>9}",
    ]
    for number in range(min(rows, found.sizes["run"])):
        run = found.isel(run=number)
        worth, error = float(run["evsi_usd"]), float(run["evsi_se_usd"])
        lines.append(
            f"  {experts(int(run['num_experts'])):<12}{short(float(run['n_dense'])):>10}{short(float(run['tokens'])):>9}{float(run['train_flop']):>10.2g}"
            f"{short(float(run['train_usd'])):>10}{f'{short(worth)} ± {short(error)}':>18}{percent(worth / evpi if evpi else 0.0):>9}"
        )
    if float(found["net_usd"].max()) <= 0:
        lines.append(NO_RUN)
    if found.sizes["added"] > 1:
        lines.append("As a batch, added greedily:")
        for run, worth, paid in zip(
            found["batch_run"].values, found["batch_evsi_usd"].values, found["batch_train_usd"].values, strict=True
        ):
            one = found.isel(run=int(run))
            lines.append(
                f"  {experts(int(one['num_experts']))}, {short(float(one['n_dense']))} backbone, {short(float(one['tokens']))} tokens: EVSI USD "
                f"{short(float(worth))} so far, for USD {short(float(paid))}"
            )
    return "\n".join([*lines, EVSI_NOTE])


def tornado(found: xr.Dataset) -> str:
    """How each input of the scenario moves the cost and the count."""
    lines, per = [], "" if found.attrs["unit"] == "USD" else " per million output tokens"
    for name in found["problem"].values:
        part = found.sel(problem=name)
        baseline = int(part["baseline_choice"])
        if not baseline:
            lines.append(f"{problem_named(str(name)).title}: no recommendation, so nothing to vary.")
            continue
        lines.append(
            f"{problem_named(str(name)).title}: {experts(baseline)}, USD {short(float(part['baseline_cost']))}{per}"
        )
        for key in part["input"].values:
            row = part.sel(input=key)
            ends = []
            for side in row["side"].values:
                own = row.sel(side=side)
                count = int(own["recommended"])
                said = f"USD {short(float(own['cost']))}, {experts(count)}" if count else "no recommendation"
                ends.append(f"{float(own['value']):.3g}: {said}")
            lines.append(f"  {key!s:<34}{ends[0]:<34}{ends[1]}")
    return "\n".join(lines)
