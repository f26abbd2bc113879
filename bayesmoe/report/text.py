"""All prose of the report and of the terminal, with numbers rounded to their uncertainty."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import xarray as xr

from bayesmoe.architecture import Shape
from bayesmoe.units import short, significant

TITLES = {
    "cheapest_serving": "Cheapest serving at bounded loss",
    "lowest_loss": "Lowest loss at bounded serving cost",
}
BAND_NOTE = "Numbers are medians with the 90% band in brackets: the truth lies outside in one case of ten if the law holds."
SIMULATED = "Simulated data: the losses come from a published law, not from training. Nothing here is about real models."
AVERAGED = (
    "The bands average over laws by how well each forecast larger runs from smaller ones in this table, and widen with the distance from "
    "the runs by as much as laws have missed there."
)
WITHOUT_NOTE = "What the plan would be without each law. A decision that changes with one of them rests on it: train the run that tells them apart."
ONE_LAW = (
    "The bands hold under this one law. A law that converged and fits its runs can still miss larger models, and the farther the "
    "choice lies beyond the runs the more: take the bands as a lower bound on the uncertainty."
)
REGRET_NOTE = (
    "Regret is what an expert count costs over the best one, with its size chosen anew in each draw. It leaves out draws where "
    "the count cannot meet the constraint; the chance of meeting it stands beside it."
)
FIGURES = {
    "best_experts": "Distribution of the optimal expert count: the share of posterior draws in which each count wins.",
    "over_training": "Over-training ratio: tokens chosen over the tokens of the loss optimum at the same budget. Line: 90% band.",
    "cost_against_loss": "Serving cost against loss on the training budget. Bars: 90% bands of either; they move together within a draw.",
    "loss_by_experts": "Loss on the training budget by expert count, at the loss optimum and for each problem. Line: 90% band.",
    "fit_to_runs": "Residuals of the runs against the posterior predictive. About nine in ten should lie in the band.",
    "prior_posterior": "Prior against posterior. Where the two agree, the runs said nothing and the plan rests on the prior.",
    "trace": "Trace of every chain. All should look like the same noise.",
    "rank": "Rank plots, as differences from uniform. Chains that agree stay near zero, without trend.",
}


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


def decision(problem: str, part: xr.Dataset, base: int) -> str:
    """The decision of one problem in one paragraph.

    Parameters
    ----------
    problem : str
        Its name.
    part : Dataset
        The plan's risk for that problem.
    base : int
        Expert count that set the bar.
    """
    choice = int(part["choice"])
    bar = f"the loss-optimal {base}-expert model" if base > 1 else "the loss-optimal dense model"
    goal = f"as good as {bar}" if problem == "cheapest_serving" else f"no dearer to serve than {bar}"
    if choice == 0:
        chances = ", ".join(
            f"{experts(int(e))} {percent(float(part['p_feasible'].sel(num_experts=e)))}" for e in part["num_experts"].values
        )
        return f"No expert count is {goal} with the asked-for probability. Chance of meeting it: {chances}."
    row = part.sel(num_experts=choice)
    near = [int(e) for e in part["num_experts"].values[part["near_optimal"].values]]
    others = [e for e in near if e != choice]
    alternatives = (
        f" Equally good within the tolerance: {listed(others)}." if others else " No other count is within the tolerance."
    )
    return (
        f"{experts(choice).capitalize()}, {band_of(row['n_dense'], large=True)} backbone parameters "
        f"({short(float(row['n_total'].sel(quantile=0.5)))} in all), {band_of(row['tokens'], large=True)} tokens, over-trained "
        f"{band_of(row['over_training_ratio'])} times; {goal} in {percent(float(row['p_feasible']))} of draws. Loss "
        f"{band_of(row['loss'])} nats per token, serving USD {band_of(row['serving_usd_per_million_tokens'])} per million output "
        f"tokens, training USD {band_of(row['train_usd'], large=True)}. Best of all counts in {percent(float(row['p_best']))} of "
        f"draws.{alternatives}"
    )


def shape(found: Shape) -> str:
    """A shape of the chosen size, to start a training configuration from."""
    parts = [f"{found.num_layers} layers of width {found.d_model:,}", f"{found.attention.num_heads} heads"]
    if found.d_ff is not None and found.num_moe_layers < found.num_layers:
        parts.append(f"feed-forward width {found.d_ff:,}")
    if found.experts is not None:
        shared = f" and {found.experts.d_shared:,} shared" if found.experts.d_shared else ""
        parts.append(
            f"{found.experts.num_experts} experts of width {found.experts.d_expert:,}{shared}, {found.experts.top_k} a token, in "
            f"{found.num_moe_layers} of the layers"
        )
    return (
        f"A shape near the median size: {', '.join(parts)} ({short(found.n_dense)} backbone, {short(found.n_total)} in all)."
    )


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


def score(by_cut: Any) -> str:
    """Mean log score over cuts; a dash without any."""
    return f"{by_cut.mean():.2f}" if len(by_cut) else "–"


def misfit(axis: str, own: xr.Dataset) -> str:
    """Along an axis, the share of what a law promises beyond the runs that is not to be believed, one sd."""
    return f"{axis} {100 * float(own['shift'].mean()):+.0f}% ± {100 * float(own['growth'].median()):.0f}%"


def brief(part: xr.Dataset) -> str:
    """A choice in a few words, for a table of plans."""
    choice = int(part["choice"])
    if not choice:
        return "none meets the constraint"
    row = part.sel(num_experts=choice)
    return f"{experts(choice)}, backbone {band_of(row['n_dense'], large=True)}, tokens {band_of(row['tokens'], large=True)}"


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
        "REVIEW": "Something needs a look before anyone signs: see the checks below.",
        "FAIL": f"The {'sampler did not converge' if method == 'mcmc' else 'approximation does not hold'}. Do not decide on these numbers.",
    }[verdict]


def approximate(method: str) -> str:
    """What a posterior that was not sampled is; nothing for one that was."""
    if method == "mcmc":
        return ""
    return f"Approximate posterior ({method}, importance-resampled): good for a look, sample with --method mcmc before you sign."


_COSTS = {
    "weight_bytes": ("weights", 1e9, "GB"),
    "memory_bytes": ("weights and cache", 1e9, "GB"),
    "n_gpus": ("GPUs of a replica", 1.0, ""),
    "batch": ("requests together", 1.0, ""),
    "tpot_s": ("time per output token", 1e-3, "ms"),
    "ttft_s": ("time to first token", 1e-3, "ms"),
    "output_tokens_per_s_per_gpu": ("output tokens per second and GPU", 1.0, ""),
    "serving_usd_per_million_tokens": ("serving, per million output tokens", 1.0, "USD"),
    "train_tokens": ("training tokens that the budget buys", 1e9, "billion"),
    "train_usd": ("training", 1.0, "USD"),
    "lifetime_usd": ("training and serving, in all", 1.0, "USD"),
}
_TERMS = {
    "layer": "launching layers",
    "moe_layer": "launching experts",
    "hop": "waiting for other GPUs",
    "memory": "reading weights and cache",
    "compute": "arithmetic",
    "prefill": "reading prompts",
    "communication": "traffic between GPUs",
}
_NODE = 8
_WHOLE = ("n_gpus", "batch")
_LIMITS = {
    "speed": "a latency that is not known bounds the batch",
    "memory": "memory bounds the batch",
    "max_batch": "the cap on the batch bounds it",
    "max_tpot_s": "the target for time per output token bounds the batch",
    "max_ttft_s": "the target for time to first token bounds the batch",
}


def costs(found: xr.Dataset) -> str:
    """Bands on what architectures cost, as :func:`bayesmoe.costs.cost.bands` gives them."""
    lines = []
    for i, name in enumerate(found["architecture"].values):
        part = found.isel(architecture=i)
        chance = float(part["p_feasible"])
        limit = str(part["commonest_limit"].item())
        lines.append(f"{name}: {_served(chance, limit)}")
        for quantity, (label, unit, suffix) in _COSTS.items():
            if quantity not in part or not math.isfinite(float(part[quantity][1])):
                continue
            low, middle, high = (float(value) / unit for value in part[quantity].values)
            said = band(low, middle, high, large=middle >= 1e4)
            if quantity in _WHOLE:
                said = f"{middle:.0f}" + (f" ({low:.0f}–{high:.0f})" if round(low) < round(high) else "")
            lines.append(f"  {label:<38} {said} {suffix}".rstrip())
        shares = {_TERMS[str(term)]: float(part["term_share"].sel(term=term)) for term in part["term"].values}
        if math.isfinite(sum(shares.values())):
            largest = sorted(shares.items(), key=lambda one: -one[1])[:3]
            lines.append(f"  {'a step goes into':<38} " + ", ".join(f"{name} {percent(share)}" for name, share in largest))
    if "n_gpus" in found and float(found["n_gpus"].max()) > _NODE:
        lines.append(
            f"More than {_NODE} GPUs are taken to be linked as within a node: between nodes, latency and price are higher."
        )
    return "\n".join(
        [*lines, f"{BAND_NOTE.replace(' if the law holds', '')} GPUs and batch are those that are cheapest in each draw."]
    )


def _served(chance: float, limit: str) -> str:
    if chance == 0.0:
        why = {
            "memory": "it does not fit into the memory of the most GPUs allowed",
            "max_batch": "the cap on the batch is below one request",
            "speed": "it fits, but a step takes forever or its latency was not measured",
            "max_tpot_s": "not even one request meets the target for time per output token",
            "max_ttft_s": "not even one request meets the target for time to first token",
        }
        return f"P(feasible) = 0: {why[limit]}."
    said = percent(chance)
    only = "" if chance == 1.0 else " Serving numbers hold in the draws in which it is."
    return f"P(feasible) {said if said[0] in '<>' else f'= {said}'}; {_LIMITS[limit]}.{only}"


def calibration(found: xr.DataTree, path: Any) -> str:
    """What a calibration of the roofline found."""
    posterior = found["posterior"].to_dataset()
    between, within = (float(posterior[name].median()) for name in ("between_models", "within"))
    models = ", ".join(map(str, posterior["architecture"].values))
    return (
        f"{found.attrs['points']} points of {models}; worst R-hat {found.attrs['rhat']:.3f}, {found.attrs['divergences']} divergences.\n"
        f"A model that was not measured is off by a factor of e^±{between:.2f} (one sd), and a deployment by e^±{within:.2f} more.\n"
        f"calibration in {path}; name it in a scenario as serving.calibration"
    )


def ten_lines(summary: xr.Dataset, document: dict[str, Any], note: str, report: str) -> list[str]:
    """The end of the demo: ten lines on which a planner can act.

    Parameters
    ----------
    summary : Dataset
        Risk of the plan.
    document : dict
        The plan as JSON.
    note : str
        How far the choice lies beyond the runs.
    report : str
        Where the report lies.
    """
    lines = [
        f"{document['data_origin']}{' (SIMULATED)' if document['data_simulated'] else ''}: law {document['law']}, "
        f"gate {document['gate']}, budget {document['budget_flop']:.3g} FLOP, {document['draws']} draws"
    ]
    for name, problem in document["problems"].items():
        part = summary.sel(problem=name)
        choice = problem["choice_num_experts"]
        if choice is None:
            lines += [
                f"{TITLES[name]}: no expert count meets the constraint",
                "  loosen the budget or the constraint",
                "",
                "",
            ]
            continue
        row = part.sel(num_experts=choice)
        lines += [
            f"{TITLES[name]}: train {experts(choice)}",
            f"  backbone {band_of(row['n_dense'], large=True)}, tokens {band_of(row['tokens'], large=True)}, "
            f"over-training {band_of(row['over_training_ratio'])}×",
            f"  loss {band_of(row['loss'])} nats, serving USD {band_of(row['serving_usd_per_million_tokens'])} per M tokens",
            f"  best in {percent(float(row['p_best']))} of draws, feasible in {percent(float(row['p_feasible']))}; "
            f"near-optimal: {listed(problem['near_optimal_num_experts'])}",
        ]
    return [*lines[:9], f"{note} Report: {report}"]
