"""Effective speedup of one recipe over another: how much less compute a group of runs needs for the loss of another, and whether to promote it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
import xarray as xr

from bayesmoe.decisions.recipe_losses import RecipeLosses, recipe_losses
from bayesmoe.decisions.recipes import Recipes, recipes
from bayesmoe.decisions.speedup_runs import settling_runs
from bayesmoe.errors import InputError
from bayesmoe.inference.ensemble import components
from bayesmoe.inference.noise import SEED_SHARE
from bayesmoe.precision import in_float64

Promotion = Literal["PROMOTE", "REJECT", "UNDECIDED"]
Trend = Literal["grows", "shrinks", "unclear"]

LEVELS = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95)
"""Quantiles of the 90, 80 and 50% bands, and the median."""

TIMES = (10.0, 100.0)
"""How many times the largest run that both have is looked at too."""

SEEDS = (1, 3, 10)
"""Runs of each recipe at an equal design with which a difference of loss is looked for."""

_DRAWS, _POINTS = 4000, 33
_APART = 2.0
"""Standard deviations of noise by which a difference stands out."""


class Asked(NamedTuple):
    """What is asked of a speedup; see :func:`speedup`."""

    at: tuple[float, ...]
    threshold: float
    probability: float
    seed: int


@in_float64
def speedup(
    fit: xr.DataTree,
    *,
    of: str,
    over: str,
    at: float | Sequence[float] = (),
    threshold: float = 1.0,
    probability: float = 0.9,
    experts: int | None = None,
    seed: int = 0,
) -> xr.Dataset:
    """Speedup of recipe B over recipe A, two groups of a fit, with its probability and what would settle the question.

    ``s(C) = C_A / C   with   L_A*(C_A) = L_B*(C),   L_g*(C) = min_N L_g(N, C / (6 N_active))``

    in each draw, the same for both groups: 1.2 says that A needs 1.2 times the compute for the loss that B has at C. Where A does not come down to it
    within 10,000 times the budgets asked, s is infinite: it has quantiles, and no mean. An average's discrepancy is partly shared
    (:mod:`bayesmoe.inference.shared_discrepancy`); a law fitted alone has none, and the band leaves its own error out.

    Parameters
    ----------
    fit : DataTree
        A grouped fit of one law or of several averaged.
    of, over : str
        Names of B and A.
    at : float or sequence of float
        Training budgets, FLOP, of which the first has the verdict; the largest run of both where left out.
    threshold, probability : float
        Speedup to exceed, and the probability of that to promote B, or of the contrary to reject it, in (0.5, 1).
    experts : int, optional
        Expert count of both; that of the architecture of which both have most runs where left out.
    seed : int
        Seed of discrepancies and of simulated runs.

    Returns
    -------
    Dataset
        By ``budget`` (``train_flop``, ``place``): ``speedup`` by ``quantile``, ``p_faster``, ``p_above``, ``verdict``, ``ln_speedup`` by ``sample``; at one design
        of both (``n_active``, ``tokens``) A's loss less B's, ``loss_difference``, and ``noise_nats``, nats per token, ``p_distinguished`` by ``seeds``, ``seeds_needed``. ``exponent``,
        d ln s / d ln C up to 100 times the largest run, ``p_grows``; ``curve`` by ``curve_flop``; by ``run`` those of
        :func:`bayesmoe.decisions.speedup_runs.settling_runs`. Attributes ``verdict``, ``trend``, ``warnings`` and what was asked.

    Raises
    ------
    InputError
        A group is missing, a number out of range, the response no loss, or no budget given for runs that do not overlap in compute.

    Examples
    --------
    >>> bm.speedup(dt, of="new-mix", over="baseline", at=1e22).attrs["verdict"]  # doctest: +SKIP
    'PROMOTE'
    """
    asked = Asked(_budgets(at), threshold, probability, seed)
    _require_range(threshold, probability)
    return _compared(fit, recipes(fit, of=of, over=over, experts=experts), asked)


def _compared(fit: xr.DataTree, two: Recipes, asked: Asked) -> xr.Dataset:
    if not two.overlap and not asked.at:
        hint = "give the budget to compare at (--at FLOP); one of them is then extrapolated to it"
        raise InputError(f"the runs of {two.of!r} and {two.over!r} do not overlap in compute", column="--at", hint=hint)
    places = _places(two, asked.at)
    flop = np.array(list(places.values()))
    curve = np.geomspace(min(two.smallest_flop, *flop), flop.max(), _POINTS)
    laws = components(fit)
    sizes = [member.fit["posterior"].sizes for member in laws.values()]
    kept = min(_DRAWS, *(each["chain"] * each["draw"] for each in sizes))
    ends = float(np.log(curve[0])), float(np.log(curve[-1]))
    losses = recipe_losses(fit, two, ends, draws=kept, seed=asked.seed)
    along = _quantiles(np.exp(losses.ln_speedup(np.log(curve))))
    settling = settling_runs(
        losses, float(flop[0]), threshold=asked.threshold, probability=asked.probability, seed=asked.seed
    )
    found = xr.merge([_by_budget(losses, flop, asked), _by_scale(losses, two), settling])
    found = found.assign(curve=(("curve_flop", "quantile"), along)).assign_coords(
        place=("budget", list(places)), curve_flop=curve, seeds=list(SEEDS), quantile=list(LEVELS)
    )
    alone = all(member.discrepancy is None for member in laws.values())
    found.attrs = {
        "of": two.of,
        "over": two.over,
        "law": ", ".join(laws),
        "threshold": asked.threshold,
        "probability": asked.probability,
        "verdict": str(found["verdict"].values[0]),
        "trend": _trend(float(found["p_grows"]), asked.probability),
        "draws": kept,
        "discrepancy": int(not alone),
        **{f"num_experts_{role}": two.num_experts[name] for role, name in (("of", two.of), ("over", two.over))},
        **{
            f"runs_flop_{role}": [float(two.flop[name].min()), float(two.flop[name].max())]
            for role, name in (("of", two.of), ("over", two.over))
        },
        "warnings": _warnings(two, flop, alone=alone),
    }
    return found


def _budgets(at: float | Sequence[float]) -> tuple[float, ...]:
    asked = tuple(float(flop) for flop in np.atleast_1d(np.asarray(at, dtype=float)))
    for flop in asked:
        if not 0.0 < flop < math.inf:
            raise InputError("must be a positive number of FLOP", column="--at", value=flop, hint="give one such as 1e22")
    return asked


def _require_range(threshold: float, probability: float) -> None:
    if not 0.0 < threshold < math.inf:
        hint = "1 asks for any speedup at all, 1.1 for a tenth less compute"
        raise InputError("must be a positive factor", column="--threshold", value=threshold, hint=hint)
    if not 0.5 < probability < 1.0:
        hint = "0.9 promotes where nine draws in ten are above the threshold"
        raise InputError("must lie between 0.5 and 1", column="--probability", value=probability, hint=hint)


def _places(two: Recipes, asked: tuple[float, ...]) -> dict[str, float]:
    """Budgets by where they come from, that of the verdict first."""
    largest = two.largest_flop
    places = {f"asked {number}": flop for number, flop in enumerate(asked, 1)}
    return {**places, "largest run": largest, **{f"{times:g}x the largest": times * largest for times in TIMES}}


def _quantiles(values: np.ndarray) -> np.ndarray:
    """Quantiles over draws, last dimension quantiles: by order, as between a number and infinity there is none."""
    return np.moveaxis(np.quantile(values, LEVELS, axis=0, method="inverted_cdf"), 0, -1)


def verdict_of(p_above: float, probability: float) -> Promotion:
    """PROMOTE where a speedup above the threshold is as probable as asked, REJECT where the contrary is, else UNDECIDED."""
    if p_above >= probability:
        return "PROMOTE"
    return "REJECT" if 1.0 - p_above >= probability else "UNDECIDED"


def _trend(p_grows: float, probability: float) -> Trend:
    return "grows" if p_grows >= probability else "shrinks" if p_grows <= 1.0 - probability else "unclear"


def _by_budget(losses: RecipeLosses, flop: np.ndarray, asked: Asked) -> xr.Dataset:
    ln_speedup = losses.ln_speedup(np.log(flop))
    p_above = (ln_speedup > np.log(asked.threshold)).mean(axis=0)
    at_design = [_equal_designs(losses, float(np.log(one))) for one in flop]
    columns = {name: np.stack([each[name] for each in at_design]) for name in at_design[0]}
    dims = {"loss_difference": ("budget", "quantile"), "p_distinguished": ("budget", "seeds")}
    return xr.Dataset(
        {
            "speedup": (("budget", "quantile"), _quantiles(np.exp(ln_speedup))),
            "p_faster": ("budget", (ln_speedup > 0.0).mean(axis=0)),
            "p_above": ("budget", p_above),
            "verdict": ("budget", [verdict_of(float(p), asked.probability) for p in p_above]),
            "ln_speedup": (("sample", "budget"), ln_speedup),
            **{name: (dims.get(name, "budget"), column) for name, column in columns.items()},
        },
        coords={"train_flop": ("budget", flop, {"units": "FLOP"})},
    )


def _equal_designs(losses: RecipeLosses, ln_flop: float) -> dict[str, np.ndarray]:
    """What runs of both at one design would show: loss of A less that of B, and the noise that hides it."""
    two = losses.recipes
    design = losses.design(ln_flop, two.groups)
    over, of = (losses.loss(name, *design) for name in two.groups)
    difference, noise, share = over - of, _noise_nats(losses, design), _seed_share(losses)
    spread = {count: np.sqrt(2.0 * noise**2 * (1.0 - share + share / count)) for count in SEEDS}
    # With ever more seeds what is left is the configuration's own noise.
    room = (float(np.median(difference)) / _APART) ** 2 / 2.0 - noise**2 * (1.0 - share)
    needed = noise**2 * share / room if room > 0.0 else np.inf
    return {
        "n_active": np.exp(design[0]),
        "tokens": np.exp(design[1]),
        "loss_difference": np.quantile(difference, LEVELS),
        "noise_nats": np.array(noise),
        "p_distinguished": np.array([(np.abs(difference) > _APART * spread[count]).mean() for count in SEEDS]),
        "seeds_needed": np.array(np.ceil(max(needed, 1.0))),
    }


def _noise_nats(losses: RecipeLosses, design: tuple[float, float]) -> float:
    """Standard deviation of a run's loss at a design, nats per token: median over draws, both groups alike."""
    each = []
    for name in losses.recipes.groups:
        scale, df = losses.noise(name, *design)
        df = np.maximum(df, 3.0)
        each.append(np.median(scale * np.sqrt(df / (df - 2.0)) * losses.loss(name, *design)))
    return float(np.mean(each))


def _seed_share(losses: RecipeLosses) -> float:
    """Share of the noise's variance that differs between seeds of one configuration; 1 where a fit does not tell."""
    known = [
        float(np.median(np.asarray(part.member.fit["posterior"].dataset[SEED_SHARE])))
        for part in losses.parts
        if SEED_SHARE in part.member.fit["posterior"]
    ]
    return known[0] if known else 1.0


def _by_scale(losses: RecipeLosses, two: Recipes) -> xr.Dataset:
    """How the speedup changes from the largest run to a hundred times it; a draw that is infinite at both ends says nothing."""
    ends = np.log(np.array([two.largest_flop, TIMES[-1] * two.largest_flop]))
    near, far = losses.ln_speedup(ends).T
    with np.errstate(invalid="ignore"):
        slope = (far - near) / (ends[1] - ends[0])
    known = slope[~np.isnan(slope)]
    if not len(known):
        return xr.Dataset({"exponent": ("quantile", np.full(len(LEVELS), np.nan)), "p_grows": 0.5})
    p_grows = (known > 0.0).mean() + 0.5 * (known == 0.0).mean()
    return xr.Dataset({"exponent": ("quantile", _quantiles(known[:, None])[0]), "p_grows": float(p_grows)})


def _warnings(two: Recipes, flop: np.ndarray, *, alone: bool) -> list[str]:
    said = []
    if not two.overlap:
        said.append(
            f"The runs of {two.of} and {two.over} do not overlap in compute: one of them is extrapolated to the other."
        )
    if alone:
        said.append(
            "One law fitted alone: beyond the runs the bands leave out the law's own error. Fit an average to have it in."
        )
    if not two.shared:
        counts = " and ".join([f"{name} {two.num_experts[name]:g} experts" for name in two.groups])
        said.append(f"The groups share no architecture: each is compared at that of most of its own runs ({counts}).")
    if flop[0] > TIMES[-1] * two.largest_flop:
        said.append(f"The verdict is for {flop[0] / two.largest_flop:.3g} times the largest run that both have.")
    return said
