"""Prose on what to do next: what to find out, which run to train, at which demand the choice changes, what drives the cost."""

from __future__ import annotations

import math
from collections.abc import Sequence

import xarray as xr

from bayesmoe.decisions.decision import Decision
from bayesmoe.decisions.outcome import Band
from bayesmoe.decisions.run_plan import ScheduledRun, recommended_run
from bayesmoe.decisions.text import on_throughput
from bayesmoe.planning.problems import problem_named
from bayesmoe.terminal import table
from bayesmoe.units import band, experts, percent, short, significant

EVSI_NOTE = (
    "The value of a run (EVSI) is what choosing by its outcome saves in expectation, cross-validated over draws, so it errs on the low side. "
    "It assumes that law, noise and discrepancy are as fitted."
)
NO_RUN = "None of these runs is worth what it costs; the plan says what else is worth knowing."
NO_PLAN = "`bayesmoe plan` says which limit fails; loosen it first."
MORE_DRAWS = "fit with more draws, or allow a larger run with --max-flop."
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


def worthwhile_run(found: xr.Dataset) -> str:
    """The run to train before the decision, in one sentence; nothing where none is worth its cost."""
    place = recommended_run(found)
    if place is None:
        return ""
    best = found.isel(run=place)
    return (
        f"First train {_run(best)}, for USD {short(float(best['train_usd']))}: it saves USD {short(float(best['evsi_usd']))} \u00b1 "
        f"{short(float(best['evsi_se_usd']))} in expectation."
    )


def best_run(found: xr.Dataset) -> str:
    """The run most worth training, in one sentence; or why none is recommended."""
    title, evpi = problem_named(found.attrs["problem"]).title, short(float(found["evpi_usd"]))
    budgets = found.attrs["budgets"]
    over = f" over {budgets} budgets" if budgets > 1 else ""
    about = f"For \u201c{title}\u201d{over}, the expected opportunity loss of deciding now is USD {evpi}."
    place = recommended_run(found)
    if place is not None:
        best = found.isel(run=place)
        return (
            f"{about} Most worth training: {_run(best)}, for USD {short(float(best['train_usd']))}: it saves USD "
            f"{short(float(best['evsi_usd']))} \u00b1 {short(float(best['evsi_se_usd']))} in expectation."
        )
    if not found.attrs["recommended_num_experts"]:
        return f"For \u201c{title}\u201d the plan recommends no design, and no run on its account: {NO_PLAN}"
    if "cannot tell" in found["verdict"].values:
        best = found.isel(run=int((found["verdict"] == "cannot tell").argmax("run")))
        return (
            f"{about} Cannot tell whether a run is worth its cost: the value of the best, USD {short(float(best['evsi_usd']))}, has a standard "
            f"error of USD {short(float(best['evsi_se_usd']))}, and it costs USD {short(float(best['train_usd']))}; {MORE_DRAWS}"
        )
    return f"{about} {NO_RUN}"


def _run(run: xr.Dataset) -> str:
    return (
        f"{experts(int(run['num_experts']))}, {short(float(run['n_dense']))} backbone, {short(float(run['tokens']))} tokens"
    )


def next_runs(found: xr.Dataset, batch: Sequence[ScheduledRun] = (), *, rows: int = 8) -> str:
    """The ranking of candidate runs, and the batch as a plan."""
    title, evpi = problem_named(found.attrs["problem"]).title, float(found["evpi_usd"])
    cells = []
    for number in range(min(rows, found.sizes["run"])):
        run = found.isel(run=number)
        worth, error = float(run["evsi_usd"]), float(run["evsi_se_usd"])
        cells.append(
            (
                experts(int(run["num_experts"])),
                *(short(float(run[name])) for name in ("n_dense", "tokens", "gpu_hours", "train_usd")),
                f"{short(worth)} \u00b1 {short(error)}",
                percent(worth / evpi if evpi else 0.0),
                str(run["verdict"].item()),
            )
        )
    lines = [
        best_run(found),
        f"Runs of at most {found.attrs['max_flop']:.3g} FLOP for \u201c{title}\u201d, by value less cost:",
        table(("experts", "backbone", "tokens", "GPU hours", "USD", "EVSI, USD", "of EVPI", "verdict"), cells, indent=2),
    ]
    if batch:
        lines += ["The batch as a plan, one run after the other:", _batch(found, batch)]
    return "\n".join([*lines, EVSI_NOTE])


def _batch(found: xr.Dataset, batch: Sequence[ScheduledRun]) -> str:
    """Runs of a batch with dates and cost, and their sum."""
    worth, error = (found[f"batch_{name}"].values for name in ("evsi_usd", "evsi_se_usd"))
    rows = [
        (
            _run(found.isel(run=one.run)),
            f"{one.start:%Y-%m-%d}",
            f"{one.end:%Y-%m-%d}",
            significant(one.days),
            short(one.gpu_hours),
            short(one.train_usd),
            f"{short(float(worth[place]))} \u00b1 {short(float(error[place]))}",
        )
        for place, one in enumerate(batch)
    ]
    hours, usd = (sum(getattr(one, name) for one in batch) for name in ("gpu_hours", "train_usd"))
    days = significant(sum(one.days for one in batch))
    total = ("in all", rows[0][1], rows[-1][2], days, short(hours), short(usd), rows[-1][-1])
    return table(("run", "from", "to", "days", "GPU hours", "USD", "EVSI so far, USD"), [*rows, total], indent=2)


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
        rows = [
            (str(key), *(_end(part.sel(input=key, side=side)) for side in part["side"].values))
            for key in part["input"].values
        ]
        lines.append(table(("input", "low end", "high end"), rows, text=3, indent=2))
        if said := on_throughput(found, str(name)):
            lines.append(f"  {said}")
    return "\n".join(lines)


def _end(own: xr.Dataset) -> str:
    count = int(own["recommended"])
    said = f"USD {short(float(own['cost']))}, {experts(count)}" if count else "no recommendation"
    return f"{float(own['value']):.3g}: {said}"
