"""The gate: has the sampler converged, have the runs spoken, and what to do when not."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import xarray as xr

from bayesmoe.criticism.adequacy import OF_HEAVIEST, adequacy
from bayesmoe.criticism.predictive import headline_names, prior_overlap
from bayesmoe.inference.ensemble import components
from bayesmoe.inference.gate import VERDICTS, Check, Forward, Gate
from bayesmoe.inference.spec import AVERAGE
from bayesmoe.inference.store import LAWS, FitInfo, reference_of_fit
from bayesmoe.laws.identifiability import weakest_direction
from bayesmoe.sampling.retries import STUCK_RHAT
from bayesmoe.units import percent

_BETTER_START = "run more warm-up (--warmup), and look at the rank plots: a chain that disagrees has found another mode"
_MORE_DRAWS = "draw more (--draws): the bands are noisier than they look"
_SAMPLE = "the approximation is not good enough here: sample with --method mcmc"
_MORE_RUNS = (
    "the runs say nothing about it: its band is its prior. Add runs that vary what it describes, give a prior of your own, "
    "or fit a law without it"
)
_OTHER_MODE = (
    "a chain of an earlier attempt was stuck far from the others: look at the rank plots of other seeds (--seed); where both places "
    "are equally likely, the posterior has two modes"
)
_ONE_TOO_MANY = "no table of runs could tell these coordinates apart: take one out of the law"
_LEFT_OUT = "these laws say nothing here: give them other priors or runs, or name the laws that you want (--law)"
_NOT_COVERED = "larger runs fell outside the band more often than it says: train a run in between first"
_WEIGHTS_HANG = "the law weights depend on a few runs: look at the plan without each law, and train larger runs"
_TOO_WIDE = "the middle of the band is wider than errors were: it says less than it could"
_COVERAGES = {0.5: (0.25, 0.85), 0.8: (0.65, 1.0), 0.9: (0.8, 1.0)}
"""Least and most coverage by level that passes: a few splits, each of correlated runs, say no more."""

_BELOW = (0.15, 0.85)
_BIASED = "larger runs came out on one side of what was forecast: train a run in between first"
_FAILING_LEVEL, _POOR_COVERAGE, _MOST_WEIGHT_SD = 0.9, 0.5, 0.25
_MODE_GAP_NATS = 10.0
_LEAST_STRENGTH = 1e-6
_MOST_OVERLAP = 0.8
_GEOMETRY = "raise --target-accept to 0.95 or 0.99; if it persists, share more coordinates between groups or tighten a prior"


def check(fit: xr.DataTree) -> Gate:
    """Return the gate that was computed when the fit was made.

    Raises
    ------
    InputError
        The fit has no gate: it was made of one chain.

    Examples
    --------
    >>> bm.check(dt).verdict in ("PASS", "REVIEW")
    True
    """
    return FitInfo.read(fit).required_gate()


def with_gate(fit: xr.DataTree) -> xr.DataTree:
    """Compute the gate of a new fit and store it in the fit; one chain of MCMC cannot be checked and has none."""
    info = FitInfo.read(fit)
    if info.approximate or info.law_name == AVERAGE or fit["posterior"].sizes["chain"] > 1:
        dataclasses.replace(info, gate=computed_gate(fit)).write(fit)
    return fit


def computed_gate(fit: xr.DataTree) -> Gate:
    """Compute the gate of a fit.

    R-hat (rank-normalized, split), bulk and tail effective sample size, divergent transitions and E-BFMI, each worst over all
    sampled parameters and chains. An approximation is judged by Pareto's k of its importance weights and by their effective
    sample size instead. Then the overlap of prior and posterior, largest over the coordinates: where it is near 1
    the runs said nothing; and the sensitivity to the prior's power, where it exceeds that to the likelihood's. A law that has
    coordinates no runs could tell apart fails (:mod:`bayesmoe.laws.identifiability`), and so does a fit whose earlier attempt had
    chains in two places of like density. The shape of saturation is reported but not judged: e_max is rarely pinned, and what that
    means is a matter of the plan.

    Of an average, each check is that of the law with the worst verdict (ties: the heaviest law). Laws that were left out are named, and
    forward validation is judged: coverage of its bands, and how much the weights depend on the choice of splits.

    Parameters
    ----------
    fit : DataTree
        Groups ``posterior`` and ``sample_stats``, or those of an average.

    Returns
    -------
    Gate
        PASS needs R-hat <= 1.01, both sizes >= 400, no divergence and E-BFMI >= 0.3. FAIL is R-hat > 1.05, a size < 100, more
        than 1 % divergent transitions, E-BFMI < 0.2 or anything that cannot be computed. REVIEW lies between, or a prior
        overlap above 0.8, a coverage of runs or of differences between expert counts in forward validation below 0.8 at 90% (of runs, FAIL:
        0.5), below 0.65 at 80% or outside 0.25 to 0.85 at 50%, a mean PIT outside 0.15 to 0.85, a weight's standard deviation above 0.25, or
        one of the checks of :func:`bayesmoe.criticism.adequacy.adequacy`. For an approximation PASS needs k <= 0.7 and an effective size
        >= 400; FAIL is k > 1 or a size < 100.

    References
    ----------
    Vehtari et al. 2021, arXiv:1903.08008 (R-hat and effective sample size); Betancourt 2016, arXiv:1604.00695 (E-BFMI); Kallioinen
    et al. 2024, doi:10.1007/s11222-023-10366-5 (power-scaling sensitivity).
    """
    if LAWS in fit.children:
        return _of_average(fit)
    info = FitInfo.read(fit)
    sampler = _importance(fit) if info.approximate else [*_convergence(fit), *_attempts(fit)]
    sensitivity = [] if info.approximate else _prior_sensitivity(fit)
    return Gate((*sampler, _law_identified(fit), *_identified(fit), *sensitivity, *adequacy(fit)), info.method)


def _convergence(fit: xr.DataTree) -> list[Check]:
    posterior = _sampled(fit)
    stats = fit["sample_stats"].to_dataset()
    # A second of imports that an approximate fit does not pay for.
    import arviz_stats

    rhat, rhat_at = _worst(arviz_stats.rhat(posterior.where(np.isfinite(posterior))), np.max)
    bulk, bulk_at = _worst(arviz_stats.ess(posterior, method="bulk"), np.min)
    tail, tail_at = _worst(arviz_stats.ess(posterior, method="tail"), np.min)
    diverging = int(stats["diverging"].sum())
    bfmi = float(np.min(np.asarray(arviz_stats.bfmi(stats["energy"].values))))
    few = diverging <= 0.01 * stats["diverging"].size
    return [
        Check.of("R-hat", rhat, rhat_at, "at most 1.01", rhat <= 1.01, rhat <= 1.05, _BETTER_START),
        Check.of("bulk ESS", bulk, bulk_at, "at least 400", bulk >= 400, bulk >= 100, _MORE_DRAWS),
        Check.of("tail ESS", tail, tail_at, "at least 400", tail >= 400, tail >= 100, _MORE_DRAWS),
        Check.of("divergences", float(diverging), "all chains", "none", diverging == 0, few, _GEOMETRY),
        Check.of("E-BFMI", bfmi, "worst chain", "at least 0.3", bfmi >= 0.3, bfmi >= 0.2, _GEOMETRY),
    ]


def _of_average(fit: xr.DataTree) -> Gate:
    worst: dict[str, Check] = {}
    members = components(fit)
    # The heaviest law comes first.
    heaviest = next(iter(members))
    for name, member in members.items():
        for check_of_law in FitInfo.read(member.fit).required_gate().checks:
            if check_of_law.name in OF_HEAVIEST and name != heaviest:
                continue
            named = dataclasses.replace(check_of_law, where=f"{name}: {check_of_law.where}")
            heavier = worst.get(named.name)
            if heavier is None or VERDICTS.index(named.verdict) > VERDICTS.index(heavier.verdict):
                worst[named.name] = named
    table, info = fit[AVERAGE].to_dataset(), FitInfo.read(fit)
    left_out, spread = info.left_out, table["weight_sd"].values
    reasons = "; ".join(f"{name}: {why}" for name, why in left_out.items()) or "all laws converged"
    widest = int(np.argmax(np.nan_to_num(spread, nan=0.0)))
    narrow, law = bool(spread[widest] <= _MOST_WEIGHT_SD), str(table["law"].values[widest])
    return Gate(
        (
            *worst.values(),
            Check.of("laws left out", float(len(left_out)), reasons, "none", not left_out, True, _LEFT_OUT),
            *_forward_checks(info.forward, table.sizes["split"]),
            Check.of(
                "weight spread", float(spread[widest]), law, f"at most {_MOST_WEIGHT_SD:g}", narrow, True, _WEIGHTS_HANG
            ),
        )
    )


def _forward_checks(forward: Forward | None, splits: int) -> list[Check]:
    """Coverage at each level: a band can be right at 90% and wrong in its middle, which is what a plan reads."""
    forward = forward or Forward({}, {}, None)
    where = f"{splits} splits"
    checks = []
    for name, shares in (("forward coverage", forward.coverage), ("difference coverage", forward.difference_coverage)):
        for level, (least, most) in _COVERAGES.items():
            if not shares and shares is forward.difference_coverage:
                continue
            share = shares.get(f"{level:g}", float("nan"))
            rule = f"at least {least:g}" if most == 1.0 else f"{least:g} to {most:g}"
            failed = shares is forward.coverage and level == _FAILING_LEVEL and share < _POOR_COVERAGE
            hint = _TOO_WIDE if share > most else _NOT_COVERED
            checks.append(Check.of(f"{name} {percent(level)}", share, where, rule, least <= share <= most, not failed, hint))
    if forward.below is not None:
        least, most = _BELOW
        fair = least <= forward.below <= most
        checks.append(Check.of("forward PIT", forward.below, where, f"{least:g} to {most:g}", fair, True, _BIASED))
    return checks


def _sampled(fit: xr.DataTree) -> xr.Dataset:
    """What the sampler moved: coordinates, their populations, spreads and bases, and the noise.

    The paper's own parameters are functions of these; an amplitude such as A = w L N^alpha has no usable moments where its
    exponent is not identified.
    """
    posterior = fit["posterior"].to_dataset()
    return posterior[[name for name in posterior.data_vars if name not in FitInfo.read(fit).paper_parameters]]


def _importance(fit: xr.DataTree) -> list[Check]:
    info = FitInfo.read(fit)
    method, pareto_k = info.method, float("nan") if info.pareto_k is None else info.pareto_k
    size = float(fit["sample_stats"].dataset["importance_ess"].mean())
    return [
        Check.of("Pareto k", pareto_k, method, "at most 0.7", pareto_k <= 0.7, pareto_k <= 1.0, _SAMPLE),
        Check.of("importance ESS", size, method, "at least 400", size >= 400, size >= 100, _SAMPLE),
    ]


def _attempts(fit: xr.DataTree) -> list[Check]:
    """What the attempts before the last one say: nothing where the first one settled."""
    attempts = FitInfo.read(fit).attempts
    apart = [attempt.gap_nats for attempt in attempts[:-1] if not attempt.rhat <= STUCK_RHAT]
    if len(attempts) < 2:
        return []
    problems = "; ".join(attempt.problem or "settled" for attempt in attempts)
    rule, other_mode = "chains of no attempt in different places", not all(gap > _MODE_GAP_NATS for gap in apart)
    return [Check.of("attempts", float(len(attempts)), problems, rule, not apart, not other_mode, _OTHER_MODE)]


def _law_identified(fit: xr.DataTree) -> Check:
    info = FitInfo.read(fit)
    runs = fit["constant_data"].dataset
    ranges = {name: (float(runs[name].min()), float(runs[name].max())) for name in info.law.covariates}
    weakest = weakest_direction(info.law, info.coordinates, reference_of_fit(fit), ranges)
    learned = weakest.strength >= _LEAST_STRENGTH
    where = " with ".join(weakest.coordinates)
    return Check.of(
        "law identified", weakest.strength, where, f"at least {_LEAST_STRENGTH:g}", learned, False, _ONE_TOO_MANY
    )


def _identified(fit: xr.DataTree) -> list[Check]:
    of = {coordinate.name: coordinate.of for coordinate in FitInfo.read(fit).law.coordinates}
    names = {name: of.get(name.removesuffix("_population")) for name in headline_names(fit)}
    overlaps = prior_overlap(fit, [name for name, kind in names.items() if kind])
    checks = []
    for name, judged in (("prior overlap", True), ("shape overlap", False)):
        by_name = {key: value for key, value in overlaps.items() if (names[key] != "shape") == judged}
        if by_name:
            where = max(by_name, key=lambda key: by_name[key])
            rule = f"at most {_MOST_OVERLAP:g}" if judged else "reported, not judged"
            passes = by_name[where] <= _MOST_OVERLAP or not judged
            checks.append(Check.of(name, by_name[where], where, rule, passes, True, _MORE_RUNS))
    return checks


def _prior_sensitivity(fit: xr.DataTree) -> list[Check]:
    """How far the posterior moves when the prior is raised to a power near 1, where the likelihood moves it less.

    Not judged: what the runs left to the prior is what the overlap judges, and this says how much the prior's width then matters.
    """
    of = {coordinate.name: coordinate.of for coordinate in FitInfo.read(fit).law.coordinates}
    names = [name for name in headline_names(fit) if of.get(name, "shape") != "shape"]
    if not names or "log_likelihood" not in fit.children:
        return []
    import arviz_stats

    prior, likelihood = (arviz_stats.psense(fit, var_names=names, group=group) for group in ("prior", "likelihood"))
    over = {name: float(prior[name]) for name in names if float(prior[name]) > float(likelihood[name])}
    where = max(over, key=lambda name: over[name]) if over else ""
    value = over.get(where, 0.0)
    rule = "reported where the prior outweighs the runs, not judged"
    return [Check("prior sensitivity", "PASS", value, where or "the runs outweigh the prior everywhere", rule, "")]


def _worst(values: Any, pick: Any) -> tuple[float, str]:
    """Worst value over all parameters and where it is; NaN, which is worst of all, when any cannot be computed."""
    dataset = values.to_dataset() if isinstance(values, xr.DataTree) else values
    flat = {str(name): np.asarray(dataset[name]) for name in dataset.data_vars}
    broken = [name for name, value in flat.items() if not np.isfinite(value).all()]
    if broken:
        return float("nan"), str(broken[0])
    worst = {name: float(pick(value)) for name, value in flat.items()}
    value = pick(list(worst.values()))
    return float(value), next(str(name) for name in worst if worst[name] == value)
