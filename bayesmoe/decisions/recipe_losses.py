"""Loss of two groups' compute-optimal designs along compute, in the same posterior draws, and the compute at which one has the other's loss."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import xarray as xr

from bayesmoe.decisions.recipes import SIZES, Growth, Recipes
from bayesmoe.inference.ensemble import Component, apportion, components
from bayesmoe.inference.extrapolation import extrapolation_distance, runs_in_group
from bayesmoe.inference.groups import parameters_of_group
from bayesmoe.inference.predict import noise_of
from bayesmoe.inference.shared_discrepancy import SharedDiscrepancy, discrepancies_of_groups, shipped_share
from bayesmoe.inference.store import FitInfo
from bayesmoe.laws import Law
from bayesmoe.planning.search import minimize_unimodal

_STEP = 0.4
"""Step in ln FLOP at which optima are looked for: between them a cubic is within 1e-8 of a law's ln loss."""

_FINER = 8
"""Places of the table to a step where there is a discrepancy: its distance bends where the runs end."""

BEYOND = float(np.log(1e4))
"""How far in ln FLOP beyond the budgets asked a loss is looked for; a group that reaches it only further away counts as one that never does."""

_FALL = 1e-11
"""Fall of ln loss per e-fold of compute where a draw says that more compute gives nothing: two groups of one loss then need the same compute."""

_HALVINGS = 60


class Part(NamedTuple):
    """Draws of one law: its fit, paper parameters and discrepancy of each group, a row a draw."""

    member: Component
    law: Law
    parameters: dict[str, dict[str, Any]]
    discrepancy: dict[str, np.ndarray]


@dataclass(frozen=True)
class RecipeLosses:
    """Losses of two groups in the same S draws.

    Attributes
    ----------
    recipes : Recipes
        The two groups.
    parts : tuple of Part
        Laws, heaviest first; draws of a fit's laws follow each other.
    ln_flop : array, shape (G,)
        Rising, evenly spaced ln training FLOP.
    ln_active : dict of array, shape (S, G)
        By group, ln active parameters of the loss optimum of each draw's law.
    ln_loss : dict of array, shape (S, G)
        By group, ln loss there with the discrepancy; it never rises, as nobody must spend a whole budget.
    """

    recipes: Recipes
    parts: tuple[Part, ...]
    ln_flop: np.ndarray
    ln_active: dict[str, np.ndarray]
    ln_loss: dict[str, np.ndarray]

    def ln_speedup(self, ln_flop: np.ndarray) -> np.ndarray:
        """``ln s = ln C_A - ln C`` with ``L_A*(C_A) = L_B*(C)`` by draw and budget, shape (S, m); infinite where A never has that loss."""
        target = interpolated(self.ln_flop, self.ln_loss[self.recipes.of], ln_flop)
        return crossing(self.ln_flop, self.ln_loss[self.recipes.over], target) - ln_flop

    def design(self, ln_flop: float, groups: tuple[str, ...]) -> tuple[float, float]:
        """ln active parameters and ln tokens of a design on a budget: the median loss optimum of the groups."""
        optima = [interpolated(self.ln_flop, self.ln_active[name], np.array([ln_flop])) for name in groups]
        ln_active = float(np.median(np.concatenate(optima)))
        return ln_active, ln_flop - float(np.log(6.0)) - ln_active

    def loss(self, group: str, ln_active: float, ln_tokens: float) -> np.ndarray:
        """Loss of a group at a design by draw, nats per token, without noise; shape (S,)."""
        run = self.recipes.growth[group].run(ln_active, ln_tokens)
        found = []
        for part in self.parts:
            own = {name: run[name] for name in part.law.covariates}
            loss = np.asarray(jax.vmap(part.law.loss, in_axes=(0, None))(part.parameters[group], own))
            found.append(loss * np.exp(_moved(part, group, {name: np.array([run[name]]) for name in run})[:, 0]))
        return np.concatenate(found)

    def noise(self, group: str, ln_active: float, ln_tokens: float) -> tuple[np.ndarray, np.ndarray]:
        """Noise scale of a run of a group at a design, a share of its loss, and degrees of freedom; by draw, shape (S,)."""
        run = self.recipes.growth[group].run(ln_active, ln_tokens)
        frame = pd.DataFrame({name: [float(value)] for name, value in run.items()})
        loss, first, found = self.loss(group, ln_active, ln_tokens), 0, []
        for part in self.parts:
            rows = slice(first, first + _count(part))
            found.append(noise_of(part.member.fit, frame, loss[rows, None]))
            first = rows.stop
        scale, df = zip(*found, strict=True)
        return np.concatenate(scale)[:, 0], np.concatenate(df)


def recipe_losses(
    fit: xr.DataTree,
    recipes: Recipes,
    ln_flop: tuple[float, float],
    *,
    draws: int,
    seed: int,
    share: SharedDiscrepancy | None = None,
) -> RecipeLosses:
    """Tabulate the losses of two groups.

    ``ln L_g*(C) = ln L_g(N_g, C / (6 N_g)) + m_g . r_g(C)``: N_g minimizes the loss of the draw's law, for nobody can choose a size by an error that
    they do not know; m_g is the discrepancy (:func:`bayesmoe.inference.shared_discrepancy.discrepancies_of_groups`), r_g the distance of the
    median optimum from the group's own runs. A law that reads no tokens, or no size, has one design on a budget: that with the runs' mean of
    what it does not read. Draws of both groups are the same draws of the posterior.

    Parameters
    ----------
    fit, recipes : DataTree, Recipes
        A fit and two of its groups.
    ln_flop : tuple of float
        Least and most budget that will be asked.
    draws, seed : int
        How many draws, of an average each law has its share; seed of discrepancies.
    share : SharedDiscrepancy, optional
        Which share of the discrepancy groups have in common; the shipped prior where it is not given.
    """
    laws, rng = components(fit), np.random.default_rng((seed, 4))
    counts = apportion(np.array([member.weight for member in laws.values()]), draws)
    parts = tuple(
        _part(member, recipes, int(count), rng, share) for member, count in zip(laws.values(), counts, strict=True) if count
    )
    least, most = ln_flop[0] - BEYOND, ln_flop[1] + BEYOND
    coarse = least + _STEP * np.arange(int(np.ceil((most - least) / _STEP)) + 1)
    moved = any(part.member.discrepancy is not None for part in parts)
    grid = np.linspace(coarse[0], coarse[-1], _FINER * (len(coarse) - 1) + 1) if moved else coarse
    ln_active: dict[str, list[np.ndarray]] = {name: [] for name in recipes.groups}
    ln_loss: dict[str, list[np.ndarray]] = {name: [] for name in recipes.groups}
    for part in parts:
        for name in recipes.groups:
            size, loss = _optima(part, name, recipes, coarse)
            size, loss = (interpolated(coarse, each, grid) for each in (size, np.log(loss)))
            middle = np.median(size, axis=0)
            run = recipes.growth[name].run(middle, grid - np.log(6.0) - middle)
            ln_active[name].append(size)
            ln_loss[name].append(loss + _moved(part, name, run))
    tables = {name: _falling(grid, np.concatenate(each)) for name, each in ln_loss.items()}
    return RecipeLosses(recipes, parts, grid, {name: np.concatenate(each) for name, each in ln_active.items()}, tables)


def _part(
    member: Component, recipes: Recipes, count: int, rng: np.random.Generator, share: SharedDiscrepancy | None
) -> Part:
    parameters = {
        name: parameters_of_group(member.fit, name, draws=count, rng=rng, column="--of") for name in recipes.groups
    }
    moved: dict[str, np.ndarray] = {}
    if member.discrepancy is not None:
        rho = (share or shipped_share()).draws(count, rng)
        moved = discrepancies_of_groups(member.discrepancy, recipes.groups, rho, rng)
    return Part(member, FitInfo.read(member.fit).law, parameters, moved)


def _count(part: Part) -> int:
    return len(next(iter(part.parameters[next(iter(part.parameters))].values())))


def _moved(part: Part, group: str, run: dict[str, Any]) -> np.ndarray:
    """What the discrepancy adds to ln loss of m runs, shape (S, m); zero for a law fitted alone."""
    size = len(run["tokens"])
    if part.member.discrepancy is None:
        return np.zeros((1, size))
    beyond = part.member.discrepancy
    axes = list(map(str, beyond["axis"].values))
    asked = np.stack([np.broadcast_to(np.log(run[axis]), size) for axis in axes])
    seen = beyond.isel(seen=runs_in_group(beyond["group_of_run"].values, group))
    distance = extrapolation_distance(asked, seen["ln_covariate"].values, seen["slope"].values, axes)
    return part.discrepancy[group] @ distance


def _optima(part: Part, group: str, recipes: Recipes, grid: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """ln active parameters and loss of the design of a group on every budget, shape (S, G)."""
    law, growth = part.law, recipes.growth[group]
    reads_size, reads_tokens = bool(set(SIZES) & set(law.covariates)), "tokens" in law.covariates
    both = grid - np.log(6.0)
    if reads_size and reads_tokens:
        low, high = (0.5 * (both - ratio) for ratio in reversed(recipes.ln_ratio))
    else:
        fixed = both - recipes.ln_tokens if reads_size else np.full_like(grid, recipes.ln_active)
        low = high = fixed
    size, loss = _best(law, growth, part.parameters[group], jnp.asarray(grid), jnp.asarray(low), jnp.asarray(high))
    return np.asarray(size), np.asarray(loss)


@partial(jax.jit, static_argnums=0)
def _best(law: Law, growth: Growth, parameters: dict[str, Any], grid: Any, low: Any, high: Any) -> tuple[Any, Any]:
    def loss(own: dict[str, Any], ln_active: Any, ln_flop: Any) -> Any:
        run = growth.run(ln_active, ln_flop - jnp.log(6.0) - ln_active, jnp.exp)
        return law.loss(own, {name: run[name] for name in law.covariates})

    def over(function: Any) -> Any:
        return jax.vmap(jax.vmap(function, in_axes=(None, 0, 0)), in_axes=(0, 0, None))

    count = len(next(iter(parameters.values())))
    ends = (jnp.broadcast_to(end, (count, len(grid))) for end in (low, high))
    slope = over(jax.grad(loss, argnums=1))
    size = minimize_unimodal(lambda x: slope(parameters, x, grid), *ends)
    return size, over(loss)(parameters, size, grid)


def _falling(grid: np.ndarray, ln_loss: np.ndarray) -> np.ndarray:
    return np.minimum.accumulate(ln_loss, axis=1) - _FALL * (grid - grid[0])


def _slopes(grid: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Derivatives on an even grid, to the fourth order but next to its ends."""
    step = grid[1] - grid[0]
    slopes = np.gradient(values, step, axis=1)
    inner = values[:, :-4] - 8.0 * values[:, 1:-3] + 8.0 * values[:, 3:-1] - values[:, 4:]
    slopes[:, 2:-2] = inner / (12.0 * step)
    return slopes


def _cubic(t: Any, left: Any, right: Any, rise: Any, climb: Any) -> Any:
    """Hermite's cubic at t in [0, 1] between two values, from the derivatives times the step."""
    return left + t * (rise + t * (3.0 * (right - left) - 2.0 * rise - climb + t * (2.0 * (left - right) + rise + climb)))


def interpolated(grid: np.ndarray, values: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Values, shape (S, G) on an even grid, at m places within it; shape (S, m)."""
    step = grid[1] - grid[0]
    cell = np.clip(((at - grid[0]) / step).astype(int), 0, len(grid) - 2)
    slopes = step * _slopes(grid, values)
    return _cubic((at - grid[cell]) / step, values[:, cell], values[:, cell + 1], slopes[:, cell], slopes[:, cell + 1])


def crossing(grid: np.ndarray, values: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Where falling values, shape (S, G) on an even grid, pass targets of shape (S, m); infinite beyond either end.

    Returns
    -------
    array, shape (S, m)
        Places; ``inf`` where the values stay above the target, ``-inf`` where they begin below it.
    """
    step = grid[1] - grid[0]
    slopes = step * _slopes(grid, values)
    cell = np.stack([np.searchsorted(-row, -wanted) - 1 for row, wanted in zip(values, target, strict=True)])
    inside = np.clip(cell, 0, len(grid) - 2)
    ends = [np.take_along_axis(each, inside + beside, axis=1) for each in (values, slopes) for beside in (0, 1)]
    low, high = np.zeros_like(target), np.ones_like(target)
    for _ in range(_HALVINGS):
        middle = 0.5 * (low + high)
        above = _cubic(middle, *ends) > target
        low, high = np.where(above, middle, low), np.where(above, high, middle)
    found = grid[inside] + step * low
    return np.where(cell < 0, -np.inf, np.where(cell > len(grid) - 2, np.inf, found))
