"""Loss, tokens and costs of candidates of any size and tokens, under every posterior draw."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from bayesmoe.architecture import Family
from bayesmoe.arrays import Elementwise
from bayesmoe.costs.draws import fleet_of
from bayesmoe.costs.precisions import BYTES_PER_WEIGHT
from bayesmoe.costs.serving import Latency, ServingCost, cheapest_replica, served_family
from bayesmoe.laws import Law
from bayesmoe.laws.repetition import Repeated
from bayesmoe.planning.cost_draws import CostDraws
from bayesmoe.planning.design_costs import beside, lifetime_costs, seconds_per_flop, training_costs
from bayesmoe.planning.distance_grid import DISTANCE_SIZES, LARGEST, SMALLEST, ln_error
from bayesmoe.planning.quantities import Quantities
from bayesmoe.planning.repeats import distinct
from bayesmoe.planning.scenario import Candidate, Scenario
from bayesmoe.planning.search import bisect, bracket_minimum, bracket_on_grid, fewest_tokens, minimize_unimodal
from bayesmoe.units import SECONDS_PER_HOUR

_COARSE, _FINE = 129, 33
"""Sizes on which local minima are looked for."""


@dataclass(frozen=True)
class DesignSurface:
    """Candidates of one plan: S draws by K architectures, located by the logarithm of the backbone size.

    Methods are elementwise over arrays of shape (S, K), or (S, K, M) for M sizes of each candidate; S may be 1 where a size is the same in
    every draw.

    Parameters
    ----------
    law : Law
        The law.
    parameters : dict of array, shape (S,)
        Its paper parameters, one value a draw.
    candidates : tuple of Candidate
        The K architectures.
    family : Family
        What they have in common.
    scenario : Scenario
        Fleet, limits and rules.
    fixed_tokens : float or None
        Training tokens of every candidate when the law has no tokens term; the budget then bounds the size.
    cost_draws : CostDraws
        Draws of the scenario's uncertain numbers.
    latency : Latency
        Seconds of a serving iteration.
    budget : array
        Training budget, a number or of shape (S, 1) or (S, K): FLOP, or seconds of one GPU.
    in_gpu_time : bool
        Which of the two: in seconds each candidate and size buys the FLOP of its own throughput.
    discrepancy : array, shape (S, A), or None
        Discrepancy per unit of each of the A ``parts`` of distance; None where the law was fitted alone.
    distance : array, shape (K, G, T, A), or None
        Extrapolation distance of each candidate on an even grid of all G sizes, and of T tokens around those of ``distance_flop``.
    distance_flop, distance_span : float
        Training FLOP at the center of that grid, and its half width in ln tokens.
    """

    law: Law
    parameters: dict[str, Any]
    candidates: tuple[Candidate, ...]
    family: Family
    scenario: Scenario
    fixed_tokens: float | None
    cost_draws: CostDraws
    latency: Latency
    budget: Any
    in_gpu_time: bool = False
    discrepancy: Any = None
    distance: Any = None
    distance_flop: Any = 1.0
    distance_span: float = 0.0
    parts: tuple[str, ...] = ()

    @property
    def shape(self) -> tuple[int, int]:
        """(S, K)."""
        return len(next(iter(self.parameters.values()))), len(self.candidates)

    @property
    def draws(self) -> dict[str, Any]:
        """Fields whose leaves have one entry a draw along their first axis."""
        return {
            "parameters": self.parameters,
            "cost_draws": self.cost_draws,
            "budget": jnp.broadcast_to(self.budget, (self.shape[0], 1)),
            "discrepancy": self.discrepancy,
        }

    def tokens(self, ln_size: Elementwise, per_token: Elementwise | None = None) -> Elementwise:
        """Training tokens that the budget buys, at most those that there are; what one takes of it may be given."""
        if self.fixed_tokens is not None:
            return jnp.full_like(ln_size, self.fixed_tokens)
        per_token = self.budget_per_token(ln_size) if per_token is None else per_token
        return jnp.minimum(beside(self.budget, ln_size) / per_token, self.scenario.limits.most_tokens)

    def tokens_of_loss(self, ln_size: Elementwise, target: Elementwise, *, halvings: int | None = None) -> Elementwise:
        """Fewest training tokens that reach a loss, shape of ``ln_size``; infinite where none do (:func:`fewest_tokens`)."""
        turns = isinstance(self.law, Repeated) or self.cost_draws.precision.quantization is not None
        like = jnp.zeros((*self.shape, *jnp.shape(ln_size)[2:]), dtype=jnp.result_type(ln_size))
        return fewest_tokens(lambda tokens: self.loss(ln_size, tokens), target, like, turns=turns, halvings=halvings)

    def loss(self, ln_size: Elementwise, tokens: Elementwise | None = None) -> Elementwise:
        """Loss, nats per token; on the budget where no tokens are given."""
        return self._over_candidates(self._loss_of_one)(ln_size, self.tokens(ln_size) if tokens is None else tokens)

    def loss_slope(self, ln_size: Elementwise) -> Elementwise:
        """Derivative of the loss with respect to ln size along the budget."""
        per_token, rise = jax.jvp(self.budget_per_token, (ln_size,), (jnp.ones_like(ln_size),))
        tokens = self.tokens(ln_size, per_token)
        by_size, by_tokens = self._gradient(ln_size, tokens)
        # On the budget tokens fall as what a token costs grows; where data or the law hold them, they stay.
        held = 0.0 if self.fixed_tokens is not None else tokens < self.scenario.limits.most_tokens
        return by_size - by_tokens * tokens * held * (rise / per_token)

    def value_of_compute(self, ln_size: Elementwise) -> Elementwise:
        """Fall of the loss per e-fold of the budget at a loss optimum: ``-D dL/dD``, or ``-N dL/dN`` where tokens are fixed."""
        tokens = self.tokens(ln_size)
        by_size, by_tokens = self._gradient(ln_size, tokens)
        return -by_size if self.fixed_tokens is not None else -by_tokens * tokens

    def brackets(self) -> tuple[Elementwise, Elementwise]:
        """Smallest and largest ln size considered: of those that the cluster holds, where throughput is by size."""
        low, high = jnp.full(self.shape, np.log(SMALLEST)), jnp.full(self.shape, np.log(LARGEST))
        if (by_size := self.cost_draws.throughput) is not None:
            low, high = (jnp.clip(end, low, high) for end in (by_size.ln_smallest, by_size.ln_largest))
        if self.fixed_tokens is not None and self.in_gpu_time:
            high, _ = bisect(lambda x: self.budget_per_token(x) * self.fixed_tokens <= self.budget, low, high)
        elif self.fixed_tokens is not None:
            high = jnp.minimum(jnp.log(self.budget / self.fixed_tokens / self.flop_per_token(jnp.zeros(self.shape))), high)
        return low, high

    def loss_optimal(self) -> Elementwise:
        """ln size of the lowest loss on the budget, shape (S, K)."""
        low, high = self.brackets()
        # Throughput turns where another layout becomes the fastest, and distance may between the points of its grid: then a local minimum is as
        # narrow as a step.
        if self.in_gpu_time:
            points = _COARSE if self.discrepancy is None else DISTANCE_SIZES
            grid = jnp.linspace(np.log(SMALLEST), np.log(LARGEST), points)
            low, high = bracket_on_grid(self.loss(jnp.broadcast_to(grid, (1, self.shape[1], points))), grid, low, high)
        elif self.discrepancy is not None:
            low, high = bracket_minimum(self.loss, low, high, DISTANCE_SIZES)
        if self.discrepancy is not None:
            low, high = bracket_minimum(self.loss, low, high, _FINE)
        return minimize_unimodal(self.loss_slope, low, high)

    def candidate(self, number: int) -> DesignSurface:
        """One of the candidates alone, for its losses on budgets in FLOP: costs are drawn for all."""
        distance = None if self.distance is None else self.distance[number : number + 1]
        costs = self.cost_draws._replace(throughput=None)
        return replace(self, candidates=self.candidates[number : number + 1], distance=distance, cost_draws=costs)

    def on_budget(self, flop: Any) -> DesignSurface:
        """The same candidates on another training budget in FLOP, a number or of shape (S, 1) or (S, K)."""
        return replace(self, budget=flop, in_gpu_time=False)

    def spending(self, budget: Any) -> DesignSurface:
        """The same candidates on another training budget in the unit that it has."""
        return replace(self, budget=budget)

    def spent(self, quantities: Quantities) -> Elementwise:
        """What training takes, in the unit of the budget; infinite where the cluster holds no such model."""
        return quantities.train_gpu_hours * SECONDS_PER_HOUR if self.in_gpu_time else quantities.train_flop

    def serving(self, ln_size: Elementwise) -> ServingCost:
        """Cost of serving, USD per million output tokens, with the cheapest number of GPUs."""
        *replica, draws = self.replica(ln_size)
        prices = {name: getattr(draws, name) for name in ("utilization", "price_usd_per_gpu_hour")}
        return cheapest_replica(*replica, **prices)

    def replica(self, ln_size: Elementwise) -> tuple[Any, ...]:
        """What serves a size: model, latency, fleet, traffic, coefficients; and all draws of serving."""
        draws = jax.tree.map(lambda leaf: beside(leaf, ln_size), self.cost_draws.serving)
        fleet = fleet_of(self.scenario.serving)._replace(max_tpot_s=draws.max_tpot_s, max_ttft_s=draws.max_ttft_s)
        return self._served(ln_size), self.latency, fleet, draws.traffic, draws.coefficients, draws

    @jax.jit
    def quantities(self, ln_size: Elementwise, tokens: Elementwise, serving: ServingCost | None = None) -> Quantities:
        """Everything that is known at a size and tokens, of the shape of ``ln_size``; its serving cost may be given."""
        scenario, served = self.scenario, self._served(ln_size)
        counts, family = self._architectures(ln_size)
        run, serving = family.run(jnp.exp(ln_size), tokens, counts), serving or self.serving(ln_size)
        # Behind the barrier, what costs most is computed once.
        usd_per_million = jax.lax.optimization_barrier(serving.usd_per_million_tokens)
        train_flop = self.flop_per_token(ln_size) * tokens
        training = training_costs(self, ln_size, train_flop)
        lifetime_flop, lifetime_usd = lifetime_costs(self, ln_size, run["n_active"], usd_per_million)
        cached = scenario.limits.cached_tokens * scenario.serving.kv_bytes * served.cache_per_token
        quantization = jax.tree.map(lambda leaf: beside(leaf, ln_size), self.cost_draws.precision.quantization)
        found = Quantities(
            **{name: run[name] for name in ("n_dense", "n_active", "n_total", "top_k", "granularity", "tokens")},
            epochs=tokens / (scenario.limits.unique_tokens or jnp.nan),
            tokens_per_total_parameter=tokens / run["n_total"],
            loss=self.loss(ln_size, tokens),
            quantization_loss=0.0 if quantization is None else quantization.loss(run),
            serving_usd_per_million_tokens=usd_per_million,
            n_gpus=serving.n_gpus,
            batch=serving.batch,
            output_tokens_per_s=serving.tokens_per_s,
            fleet_tokens_per_s=serving.fleet_tokens_per_s,
            memory_bytes=BYTES_PER_WEIGHT[scenario.serving.precision] * run["n_total"] + cached,
            train_flop=train_flop,
            **training,
            lifetime_flop=train_flop + lifetime_flop,
            lifetime_usd=training["train_usd"] + lifetime_usd,
        )
        return Quantities(*(jnp.broadcast_to(values, (*self.shape, *jnp.shape(ln_size)[2:])) for values in found))

    def flop_per_token(self, ln_size: Elementwise) -> Elementwise:
        """Training FLOP of a token."""
        counts, family = self._architectures(ln_size)
        return family.train_flop_per_token(jnp.exp(ln_size), counts, self.scenario.training.flop_rule)

    def budget_per_token(self, ln_size: Elementwise) -> Elementwise:
        """What training on a token takes of the budget: its FLOP, or their seconds of one GPU."""
        flop = self.flop_per_token(ln_size)
        return flop * seconds_per_flop(self, ln_size) if self.in_gpu_time else flop

    def total_ratio(self) -> Any:
        """Total parameters over those of the backbone, shape (K,)."""
        counts, family = self._architectures(np.zeros(self.shape))
        return family.total_ratio(counts)

    def affords(self, quantities: Quantities) -> Any:
        """Whether the budget buys that much training."""
        spent = self.spent(quantities)
        return spent <= beside(self.budget, spent) * (1.0 + 1e-9)

    def _served(self, ln_size: Any) -> Any:
        architecture = self.scenario.architecture
        return served_family(
            jnp.exp(ln_size),
            *self._architectures(ln_size),
            mu=beside(self.cost_draws.width_times_layers, ln_size),
            cache_share=beside(self.cost_draws.kv_share, ln_size),
            moe_layer_share=architecture.moe_layer_share,
            vocab_size=float(architecture.vocab_size),
        )

    def _architectures(self, ln_size: Any) -> tuple[Any, Family]:
        """Expert counts and the family of each candidate, beside the sizes of ``ln_size``.

        They are constants to the compiler: what follows from them and from a grid of sizes is then computed once and not in every draw.
        """
        beside = (-1,) + (1,) * (jnp.ndim(ln_size) - 2)
        columns = zip(*self.candidates, strict=True)
        counts, top_k, granularity = (jnp.asarray(each, dtype=jnp.result_type(ln_size)).reshape(beside) for each in columns)
        return counts, replace(self.family, top_k=top_k, granularity=granularity)

    def _loss_of_one(self, ln_size: Any, tokens: Any, candidate: tuple[Any, ...], draw: tuple[Any, ...]) -> Any:
        (num_experts, top_k, granularity, away), (parameters, discrepancy, precision) = candidate, draw
        family = replace(self.family, top_k=top_k, granularity=granularity)
        limits, kept = self.scenario.limits, 0.0 if precision.ln_size_kept is None else precision.ln_size_kept
        run, own = (
            family.run(jnp.exp(x), tokens, num_experts) | distinct(tokens, limits) for x in (ln_size, ln_size + kept)
        )
        loss = self.law.loss(parameters, own)
        if discrepancy is not None:
            per_token = family.train_flop_per_token(run["n_dense"], num_experts, self.scenario.training.flop_rule)
            loss = loss * jnp.exp(ln_error(self, (discrepancy, away), ln_size, tokens, per_token))
        return loss if precision.quantization is None else loss + precision.quantization.loss(run)

    def _gradient(self, ln_size: Any, tokens: Any) -> tuple[Any, Any]:
        """Derivatives of the loss with respect to ln size and to tokens."""
        return self._over_candidates(jax.grad(self._loss_of_one, argnums=(0, 1)))(ln_size, tokens)

    def _over_candidates(self, function: Any) -> Any:
        """A function of one ln size and tokens, over sizes where there are several, candidates and draws."""
        like = jnp.zeros(self.shape, dtype=jnp.result_type(next(iter(self.parameters.values()))))
        counts, family = self._architectures(like)
        candidates = counts, family.top_k, family.granularity, self.distance
        draws = self.parameters, self.discrepancy, jax.tree.map(lambda leaf: leaf[:, 0], self.cost_draws.precision)

        def over(ln_size: Any, tokens: Any) -> Any:
            # What is the same in every draw is not spread over draws: it would be computed anew in each.
            places = [each[0] if len(each) == 1 else each for each in (ln_size, tokens)]
            axes = [None if len(each) == 1 else 0 for each in (ln_size, tokens)]
            mapped = jax.vmap(function, in_axes=(0, 0, None, None)) if jnp.ndim(ln_size) > 2 else function
            mapped = jax.vmap(jax.vmap(mapped, in_axes=(0, 0, 0, None)), in_axes=(*axes, None, 0))
            return mapped(*places, candidates, draws)

        return over


_DATA = ("parameters", "cost_draws", "budget", "discrepancy", "distance", "distance_flop")
_STATIC = ("law", "candidates", "family", "scenario", "fixed_tokens", "latency", "in_gpu_time", "distance_span", "parts")
jax.tree_util.register_dataclass(DesignSurface, _DATA, _STATIC)
