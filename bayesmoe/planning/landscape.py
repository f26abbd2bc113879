"""Loss, tokens and serving cost of every candidate on the training budget, under every posterior draw."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr

from bayesmoe.architecture import Family
from bayesmoe.costs.cost import ServingDraws, fleet_of, latency_of, serving_draws, training_draws
from bayesmoe.costs.quantity import drawn
from bayesmoe.costs.serving import Latency, ServingCost, TableLatency, cheapest_replica, served_family
from bayesmoe.errors import InputError
from bayesmoe.inference.groups import parameters_of_group
from bayesmoe.inference.members import Member, members, misfit_draws, shares
from bayesmoe.inference.reach import near, reach
from bayesmoe.inference.store import law_of_fit
from bayesmoe.laws import Law
from bayesmoe.planning.optimum import around_lowest, minimise_unimodal
from bayesmoe.planning.scenario import Scenario

_SMALLEST, _LARGEST = 1e6, 1e14
_GRID, _FINE = 512, 33
_FFN_SHARE = 2.0 / 3.0
"""Share of a dense layer's parameters in its feed-forward part: the rest of the backbone's layers have no experts."""

_STEP = float(np.log(_LARGEST / _SMALLEST)) / (_GRID - 1)


@dataclass(frozen=True)
class Landscape:
    """Candidates of one plan: S draws by K expert counts, located by the logarithm of the backbone size.

    Every method is elementwise over arrays of shape (S, K).

    Parameters
    ----------
    law : Law
        The law.
    parameters : dict of array, shape (S,)
        Its paper parameters, one value a draw.
    num_experts : array, shape (K,)
        Expert counts.
    family : Family
        Architecture family.
    scenario : Scenario
        Budget, fleet and prices.
    fixed_tokens : float or None
        Training tokens of every candidate when the law has no tokens term; the budget then bounds the size.
    cost_draws : dict of array
        Draws of the scenario's uncertain numbers: shape (S, 1), or (S, K) where candidates differ.
    latency : Latency
        Seconds of a serving iteration.
    misfit : array, shape (S, A), or None
        Misfit per unit of reach along the law's A axes; None where the law was fitted alone.
    reach : array, shape (K, G, A), or None
        Reach of each candidate on an even grid of G sizes over all that are considered.
    """

    law: Law
    parameters: dict[str, Any]
    num_experts: Any
    family: Family
    scenario: Scenario
    fixed_tokens: float | None
    cost_draws: dict[str, Any]
    latency: Latency
    misfit: Any = None
    reach: Any = None

    @property
    def shape(self) -> tuple[int, int]:
        """(S, K)."""
        return len(next(iter(self.parameters.values()))), len(self.num_experts)

    def tokens(self, ln_size: Any) -> Any:
        """Training tokens that the budget buys."""
        if self.fixed_tokens is not None:
            return jnp.full(self.shape, self.fixed_tokens)
        return self.scenario.training.budget_flop / self._flop_per_token(ln_size)

    def train_flop(self, ln_size: Any) -> Any:
        """Training FLOP spent."""
        return self._flop_per_token(ln_size) * self.tokens(ln_size)

    def loss(self, ln_size: Any) -> Any:
        """Loss on the budget, nats per token."""
        return self._over_candidates(self._loss_of_one)(ln_size)

    def loss_slope(self, ln_size: Any) -> Any:
        """Derivative of the loss with respect to ln size along the budget."""
        return self._over_candidates(jax.grad(self._loss_of_one))(ln_size)

    def brackets(self) -> tuple[Any, Any]:
        """Smallest and largest ln size considered."""
        low, high = jnp.full(self.shape, np.log(_SMALLEST)), jnp.full(self.shape, np.log(_LARGEST))
        if self.fixed_tokens is not None:
            training = self.scenario.training
            per_size = self.family.train_flop_per_token(1.0, self.num_experts, training.flop_rule)
            affordable = jnp.log(training.budget_flop / self.fixed_tokens / per_size)
            high = jnp.broadcast_to(affordable, self.shape)
        return low, high

    def smallest_servable(self) -> Any:
        """Smallest ln size whose serving latency is known."""
        low, high = self.brackets()
        if isinstance(self.latency, TableLatency):
            # A hair inside: the exponential of a logarithm may round to the wrong side of the smallest measured size.
            measured = [np.log(self.latency.smallest_size(count)) + 1e-9 for count in self.scenario.choices.num_experts]
            return jnp.minimum(jnp.maximum(low, jnp.asarray(measured)), high)
        return low

    def loss_optimal(self) -> Any:
        """ln size of the lowest loss on the budget."""
        low, high = self.brackets()
        if self.misfit is not None:
            # Reach goes straight between the points of its grid, and may turn there: a valley is as narrow as a step.
            for points in (_GRID, _FINE):
                low, high = around_lowest(self.loss, low, high, points)
        return minimise_unimodal(self.loss_slope, low, high)

    def serving(self, ln_size: Any) -> ServingCost:
        """Cost of serving, USD per million output tokens, with the cheapest number of GPUs."""
        draws: ServingDraws = self.cost_draws["serving"]
        architecture = self.scenario.architecture
        model = served_family(
            jnp.exp(ln_size),
            self.num_experts,
            self.family,
            mu=self.cost_draws["width_times_layers"],
            cache_share=architecture.kv_share,
            moe_layer_share=min(1.0, architecture.moe_share / _FFN_SHARE),
        )
        return cheapest_replica(
            model,
            self.latency,
            fleet_of(self.scenario.serving),
            draws.traffic,
            draws.coefficients,
            utilisation=draws.utilisation,
            price_usd_per_gpu_hour=draws.price_usd_per_gpu_hour,
        )

    def _flop_per_token(self, ln_size: Any) -> Any:
        return self.family.train_flop_per_token(jnp.exp(ln_size), self.num_experts, self.scenario.training.flop_rule)

    def _loss_of_one(self, ln_size: Any, candidate: tuple[Any, Any], draw: tuple[dict[str, Any], Any]) -> Any:
        (num_experts, away), (parameters, misfit) = candidate, draw
        size = jnp.exp(ln_size)
        if self.fixed_tokens is None:
            training = self.scenario.training
            tokens = training.budget_flop / self.family.train_flop_per_token(size, num_experts, training.flop_rule)
        else:
            tokens = self.fixed_tokens
        loss = self.law.loss(parameters, self.family.run(size, tokens, num_experts))
        if misfit is None:
            return loss
        return loss * jnp.exp(misfit @ _between(away, (ln_size - np.log(_SMALLEST)) / _STEP))

    def _over_candidates(self, function: Any) -> Any:
        over_experts = jax.vmap(function, in_axes=(0, 0, None))
        over_draws = jax.vmap(over_experts, in_axes=(0, None, 0))
        return lambda ln_size: over_draws(ln_size, (self.num_experts, self.reach), (self.parameters, self.misfit))


def _between(values: Any, place: Any) -> Any:
    """Rows of values at whole places, shape (G, A), drawn straight between them; shape (A,)."""
    below = jnp.clip(jnp.floor(place), 0, len(values) - 2).astype(int)
    return values[below] + (place - below) * (values[below + 1] - values[below])


def landscapes(fit: xr.DataTree, scenario: Scenario) -> dict[str, Landscape]:
    """Candidates of a scenario under every draw of a fit, by law; of an average, each law has its share of the draws.

    Raises
    ------
    InputError
        The scenario names no group of a grouped fit, or one it does not have; a law cannot tell the candidates apart.
    """
    if scenario.training.flop_rule == "exact":
        raise InputError(
            "needs an exact shape, and a plan chooses sizes",
            column="training.flop_rule",
            value="exact",
            cure="plan with '6 n_active tokens'; `bayesmoe cost` takes 'exact'",
        )
    laws = members(fit)
    posteriors = {name: member.fit["posterior"].sizes for name, member in laws.items()}
    total = min(sizes["chain"] * sizes["draw"] for sizes in posteriors.values())
    counts = shares(np.array([member.weight for member in laws.values()]), total)
    costs = _cost_draws(scenario, total, len(scenario.choices.num_experts))
    found, first = {}, 0
    for (name, member), count in zip(laws.items(), counts, strict=True):
        if count:
            rows = slice(first, first + count)
            own = jax.tree.map(lambda values, rows=rows: values[rows], costs)
            found[name] = _landscape(member, scenario, count, own)
        first += count
    return found


def _landscape(member: Member, scenario: Scenario, draws: int, cost_draws: dict[str, Any]) -> Landscape:
    fit = member.fit
    law = law_of_fit(fit)
    if not law.has_experts and set(scenario.choices.num_experts) != {1}:
        raise InputError(
            f"the law {law.name!r} has no expert term, so it cannot choose an expert count",
            column="choices.num_experts",
            cure="fit a law with experts, such as yun, or leave it at the dense model: num_experts = [1]",
        )
    if not {"n_dense", "n_active", "n_total"} & set(law.covariates):
        raise InputError(
            f"the law {law.name!r} reads compute only, so it cannot split a budget between size and tokens",
            column="law",
            value=law.name,
            cure="fit a law with a size, such as yun",
        )
    group, rng = scenario.choices.group, np.random.default_rng(scenario.seed)
    parameters = parameters_of_group(fit, group, draws=draws, rng=rng, column="choices.group")
    runs = fit["constant_data"].dataset
    fixed = (
        None if "tokens" in law.covariates else float(np.exp(np.log(runs["tokens"]).mean())) if "tokens" in runs else np.nan
    )
    if fixed is not None and not np.isfinite(fixed):
        raise InputError(
            f"the law {law.name!r} has no tokens term and its runs have no tokens column",
            cure="add tokens to the run table and refit",
        )
    found = Landscape(
        law,
        parameters,
        jnp.asarray(scenario.choices.num_experts, dtype=float),
        scenario.architecture.family(),
        scenario,
        fixed,
        cost_draws,
        latency_of(scenario.serving),
    )
    if member.beyond is None:
        return found
    misfit = misfit_draws(member.beyond, draws, np.random.default_rng((scenario.seed, 2)))
    return replace(found, misfit=jnp.asarray(misfit), reach=_reach(found, member.beyond, scenario.choices.group))


def _reach(here: Landscape, beyond: xr.Dataset, group: str | None) -> Any:
    size = np.exp(np.log(_SMALLEST) + _STEP * np.arange(_GRID))
    flop_rule, budget = here.scenario.training.flop_rule, here.scenario.training.budget_flop
    found, axes = [], list(map(str, beyond["axis"].values))
    beyond = beyond.isel(seen=near(beyond["group_of_run"].values, group))
    for count in here.scenario.choices.num_experts:
        per_token = here.family.train_flop_per_token(size, float(count), flop_rule)
        tokens = budget / per_token if here.fixed_tokens is None else here.fixed_tokens
        run = here.family.run(size, tokens, float(count))
        asked = np.stack([np.broadcast_to(np.log(np.asarray(run[axis], dtype=float)), size.shape) for axis in axes])
        found.append(reach(asked, beyond["ln_covariate"].values, beyond["slope"].values).T)
    return jnp.asarray(np.stack(found))


def _cost_draws(scenario: Scenario, draws: int, candidates: int) -> dict[str, Any]:
    rng = np.random.default_rng((scenario.seed, 1))
    return {
        "serving": jax.tree.map(jnp.asarray, serving_draws(scenario.serving, draws, candidates, rng)),
        "training": jax.tree.map(jnp.asarray, training_draws(scenario.training, draws, rng)),
        "width_times_layers": jnp.asarray(drawn(scenario.architecture.width_times_layers, (draws, 1), rng)),
    }
