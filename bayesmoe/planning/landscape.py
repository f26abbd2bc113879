"""Loss, tokens and serving cost of every candidate on the training budget, under every posterior draw."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr

from bayesmoe.architecture import Family, num_layers, width_times_layers
from bayesmoe.costs.hardware import accelerator_named
from bayesmoe.costs.latency import AnalyticLatency, Latency, Served, TableLatency, read_latency_table
from bayesmoe.costs.serving import ServingCost, cheapest_replica
from bayesmoe.errors import InputError
from bayesmoe.inference.groups import parameters_of_group
from bayesmoe.inference.members import Member, members, misfit_draws, shares
from bayesmoe.inference.reach import near, reach
from bayesmoe.inference.store import law_of_fit
from bayesmoe.laws import Law
from bayesmoe.planning.optimum import around_lowest, minimise_unimodal
from bayesmoe.planning.scenario import Scenario, drawn

_SMALLEST, _LARGEST = 1e6, 1e14
_GRID, _FINE = 512, 33
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
        serving, draws = self.scenario.serving, self.cost_draws
        size = jnp.exp(ln_size)
        run = self.family.run(size, 0.0, self.num_experts)
        mu = draws["width_times_layers"]
        kv_bytes = 2.0 * width_times_layers(size, mu) * self.scenario.architecture.kv_share * serving.bytes_per_kv_element
        model = Served(
            n_dense=size,
            n_active=run["n_active"],
            n_total=run["n_total"],
            n_routed=size * self.family.routed_ratio(self.num_experts),
            num_experts=self.num_experts + 0.0 * size,
            top_k=run["top_k"] + 0.0 * size,
            num_layers=num_layers(size, mu),
            kv_bytes_per_token=kv_bytes,
        )
        return cheapest_replica(
            model,
            self.latency,
            max_gpus=serving.max_gpus,
            memory_bytes=accelerator_named(serving.accelerator).memory_bytes,
            memory_fraction=serving.memory_fraction,
            bytes_per_weight=serving.bytes_per_weight,
            prompt_tokens=serving.prompt_tokens,
            output_tokens=serving.output_tokens,
            max_batch=min(serving.max_batch, self.latency.largest_batch),
            slowdown=draws["slowdown"],
            utilisation=draws["utilisation"],
            price_usd_per_gpu_hour=draws["serving_price_usd_per_gpu_hour"],
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
    laws = members(fit)
    posteriors = {name: member.fit["posterior"].sizes for name, member in laws.items()}
    total = min(sizes["chain"] * sizes["draw"] for sizes in posteriors.values())
    counts = shares(np.array([member.weight for member in laws.values()]), total)
    costs = _cost_draws(scenario, total, len(scenario.choices.num_experts))
    found, first = {}, 0
    for (name, member), count in zip(laws.items(), counts, strict=True):
        if count:
            own = {key: values[first : first + count] for key, values in costs.items()}
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
        _latency(scenario),
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
    serving, training = scenario.serving, scenario.training
    between = serving.latency_log_sd_between_models if serving.latency_table is None else 0.0
    within = np.sqrt(serving.latency_log_sd**2 - between**2) if serving.latency_table is None else 0.0
    common, own = rng.standard_normal((draws, 1)), rng.standard_normal((draws, candidates))
    return {
        "slowdown": jnp.asarray(np.exp(within * common + between * own)),
        "width_times_layers": jnp.asarray(drawn(scenario.architecture.width_times_layers, (draws, 1), rng)),
        "utilisation": jnp.asarray(drawn(serving.utilisation, (draws, 1), rng, most=1.0)),
        "serving_price_usd_per_gpu_hour": jnp.asarray(drawn(serving.price_usd_per_gpu_hour, (draws, 1), rng)),
        "mfu": jnp.asarray(drawn(training.mfu, (draws, 1), rng, most=1.0)),
        "training_price_usd_per_gpu_hour": jnp.asarray(drawn(training.price_usd_per_gpu_hour, (draws, 1), rng)),
    }


def _latency(scenario: Scenario) -> Latency:
    serving = scenario.serving
    if serving.latency_table is not None:
        return read_latency_table(serving.latency_table)
    return AnalyticLatency(
        accelerator_named(serving.accelerator), serving.prompt_tokens, serving.output_tokens, serving.bytes_per_weight
    )
