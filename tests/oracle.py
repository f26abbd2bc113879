"""Brute-force oracle of a plan: one draw at a time in NumPy, SciPy and plain loops, with no code of the package.

It scans every size on a fine grid for the best one that keeps the constraint, and so takes neither unimodal losses nor
monotone serving costs for granted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import bisect, minimize_scalar

RTOL, SIZE_RTOL = 0.005, 1e-4
"""How far a plan may lie from the oracle: 0.5 % in any quantity, and far less in its sizes: a plan looks closer until its step is 9e-5."""

SMALLEST, LARGEST = np.log(1e4), np.log(1e14)
_STEP = 0.004
_SLACK = 1e-12

CHIPS = {
    # Dense peak in 16 and 8 bits (FLOP/s), bandwidth (bytes/s), memory (bytes), NVLink one way (bytes/s), from NVIDIA's datasheets.
    "A100-SXM-40GB": (312e12, 312e12, 1.555e12, 40e9, 300e9),
    "H100-SXM": (989e12, 1979e12, 3.35e12, 80e9, 450e9),
}
BYTES = {"bf16": 2.0, "fp8": 1.0}
STEP = ("layer", "moe_layer", "hop", "request", "memory", "activations", "compute", "prefill", "experts", "communication")


def flat(costs: Any) -> dict[str, np.ndarray]:
    """Draws of a surface's costs by name, each of shape (draw, 1) or (draw, num_experts)."""
    serving = costs.serving
    return {
        "width_times_layers": np.asarray(costs.width_times_layers),
        "kv_share": np.asarray(costs.kv_share),
        "mfu": np.asarray(costs.training["mfu"]),
        "training_price_usd_per_gpu_hour": np.asarray(costs.training["price_usd_per_gpu_hour"]),
        "serving_price_usd_per_gpu_hour": np.asarray(serving.price_usd_per_gpu_hour),
        "utilization": np.asarray(serving.utilization),
        "prompt_tokens": np.asarray(serving.traffic.prompt_tokens),
        "output_tokens": np.asarray(serving.traffic.output_tokens),
        "slowdown": np.asarray(serving.coefficients.slowdown),
        **{name: np.asarray(value) for name, value in zip(STEP, serving.coefficients.step, strict=True)},
    }


QUANTITIES = ("n_dense", "n_total", "tokens", "loss", "serving_usd_per_million_tokens", "train_usd", "over_training_ratio")

Loss = Callable[[Mapping[str, float], Any, Any, int], Any]
"""``loss(parameters, size, tokens, num_experts)``."""


def effective_experts(p: Mapping[str, float], num_experts: int) -> float:
    """Clark et al. 2022, section 5.1."""
    start = 1.0 / (1.0 / p["e_start"] - 1.0 / p["e_max"])
    return 1.0 / (1.0 / (num_experts - 1.0 + start) + 1.0 / p["e_max"])


def yun_loss(p: Mapping[str, float], size: Any, tokens: Any, num_experts: int) -> Any:
    """Yun et al. 2024, Eq. 4, with the centers of its product term."""
    experts = effective_experts(p, num_experts)
    bracket = p["A"] / size ** p["alpha"] + p["B"] / experts ** p["beta"] + p["C"] / tokens ** p["gamma"] + p["F"]
    return bracket * (size / p["N_c"]) ** (p["d"] * np.log(experts / p["e_c"]))


def clark_loss(p: Mapping[str, float], size: Any, tokens: Any, num_experts: int) -> Any:
    """Clark et al. 2022, Eq. 1; knows no tokens."""
    experts = np.log10(effective_experts(p, num_experts))
    return 10.0 ** ((p["a"] + p["c"] * experts) * np.log10(size) + p["b"] * experts + p["d"])


def krajewski_loss(family: Any, p: Mapping[str, float], size: Any, tokens: Any, num_experts: int) -> Any:
    """Krajewski et al. 2024, Eq. 9; a dense model has granularity 1."""
    granularity = family.granularity if num_experts > 1 else 1.0
    return p["c"] + (p["g"] / granularity ** p["gamma"] + p["a"]) / size ** p["alpha"] + p["b"] / tokens ** p["beta"]


def abnar_loss(family: Any, p: Mapping[str, float], size: Any, tokens: Any, num_experts: int) -> Any:
    """Abnar et al. 2025, Table 3, in the share of experts that work; a dense model rests none."""
    shared = family.shared_experts
    working = (family.top_k + shared) / (num_experts + shared) if num_experts > 1 else 1.0
    plain = p["a"] / size ** p["alpha"] + p["b"] / tokens ** p["beta"] + p["e"]
    return plain + p["c"] / working ** p["lambda"] + p["d"] / (working ** p["delta"] * size ** p["gamma"])


@dataclass(frozen=True)
class Oracle:
    """A plan by brute force.

    Parameters
    ----------
    scenario : Scenario
        Read as data.
    law : callable
        Loss of one run.
    size : str
        Parameters that the law calls N: ``n_dense``, ``n_active`` or ``n_total``.
    fixed_tokens : float or None
        Tokens of every run when the law has no tokens term.
    """

    scenario: Any
    law: Loss
    size: str = "n_dense"
    fixed_tokens: float | None = None

    def ratio(self, kind: str, num_experts: int) -> float:
        """Parameters of a kind over backbone parameters."""
        part = self.scenario.architecture
        counted = {"n_active": part.top_k, "n_total": num_experts}
        if kind == "n_dense" or num_experts == 1:
            return 1.0
        return 1.0 - part.moe_share + part.moe_share * (counted[kind] + part.shared_experts) / part.granularity

    def flop_per_token(self, n_dense: Any, num_experts: int) -> Any:
        """Training FLOP per token."""
        active = {"6 n_active tokens": "n_active", "6 n_dense tokens": "n_dense"}[self.scenario.training.flop_rule]
        return 6.0 * n_dense * self.ratio(active, num_experts)

    def tokens(self, n_dense: Any, num_experts: int) -> Any:
        """Tokens that the budget buys."""
        if self.fixed_tokens is not None:
            return self.fixed_tokens + 0.0 * n_dense
        return self.scenario.training.budget_flop / self.flop_per_token(n_dense, num_experts)

    def loss(self, p: Mapping[str, float], n_dense: Any, num_experts: int) -> Any:
        """Loss on the budget."""
        return self.law(p, n_dense * self.ratio(self.size, num_experts), self.tokens(n_dense, num_experts), num_experts)

    def context(self, costs: Mapping[str, float]) -> float:
        """Mean context of requests that decode at one time: log-normal lengths, weighted by outputs."""
        serving = self.scenario.serving
        spread = np.log1p(np.array([serving.prompt_cv, serving.output_cv]) ** 2)
        prompt = costs["prompt_tokens"] * np.exp(serving.length_correlation * np.sqrt(np.prod(spread)))
        return prompt + costs["output_tokens"] * np.exp(spread[1]) / 2.0

    def request_bytes(self, costs: Mapping[str, float], cached: Any) -> Any:
        """Cache of a request that decodes."""
        return cached * self.context(costs)

    def iteration_s(
        self,
        costs: Mapping[str, float],
        num_experts: int,
        gpus: int,
        n_dense: Any,
        batch: Any,
        wide: Any,
        request: Any,
        ranks: int = 1,
    ) -> Any:
        """Seconds of one iteration: the additive roofline with distinct experts; ``wide`` is width times layers."""
        family, serving = self.scenario.architecture, self.scenario.serving
        peak, narrow_peak, bandwidth, _, link = CHIPS[serving.accelerator]
        rate = peak if serving.precision == "bf16" else narrow_peak
        routed = 0.0 if num_experts == 1 else n_dense * family.moe_share * num_experts / family.granularity
        chance = 0.0 if num_experts == 1 else family.top_k / num_experts
        head = family.vocab_size * n_dense / (12.0 * wide)
        read = n_dense * self.ratio("n_total", num_experts) - routed * (1.0 - chance) ** batch
        read = read + (ranks - 1) * n_dense / 3.0
        layers = 12.0 * wide**2 / n_dense
        # Two thirds of a dense layer are its feed-forward part.
        with_experts = 0.0 if num_experts == 1 else layers * min(1.0, 1.5 * family.moe_share)
        active = n_dense * self.ratio("n_active", num_experts)
        prompt, output = costs["prompt_tokens"], costs["output_tokens"]
        shared = serving.cached_share or 0.0
        tokens = batch * (1.0 + (1.0 - shared) * prompt / output)
        overhead = layers * costs["layer"] + with_experts * costs["moe_layer"] + layers * np.log2(gpus) * costs["hop"]
        seconds = overhead + costs["request"] * batch / ranks
        seconds = seconds + costs["memory"] * (BYTES[serving.precision] * read + 2.0 * head + request * batch) / (
            gpus * bandwidth
        )
        sent = 8.0 * wide
        if ranks > 1:
            # A token goes to at most all GPUs, in one byte, and comes back in two; without experts it is gathered and scattered.
            copies = min(family.top_k, gpus) if num_experts > 1 else 0
            sent = wide / layers * (3.0 * copies * with_experts / gpus + 4.0 * (layers - with_experts))
        seconds = seconds + costs["communication"] * tokens * sent * (gpus - 1.0) / gpus / link
        of_experts = 0.0
        if num_experts > 1:
            of_experts, width = routed * chance, wide / layers
            inner = routed / (3.0 * num_experts * with_experts * width)
            moved = 8.0 * tokens * family.top_k * with_experts * (width + inner)
            seconds = seconds + costs["activations"] * moved / (gpus * bandwidth)
            flop = 2.0 * of_experts * tokens * np.sqrt(2048.0 / np.maximum(inner, 1.0))
            seconds = seconds + costs["experts"] * flop / (gpus * rate)
        attention = 4.0 * wide * self.context(costs)
        decoded = (2.0 * (active - of_experts + head) + attention) * batch
        squares = prompt**2 * (1.0 + serving.prompt_cv**2) * (1.0 - shared**2)
        prompts = batch / output * (2.0 * (1.0 - shared) * prompt * (active - of_experts) + 2.0 * wide * squares)
        return seconds + (costs["compute"] * decoded + costs["prefill"] * prompts) / (gpus * rate)

    def serving_usd(self, costs: Mapping[str, float], n_dense: Any, num_experts: int) -> Any:
        """USD per million output tokens with the cheapest number of GPUs; NaN where none serves the model."""
        n_dense = np.asarray(n_dense, dtype=float)
        cheapest = np.full(n_dense.shape, np.nan)
        for gpus in replica_sizes(self.scenario.serving.max_gpus):
            cheapest = np.fmin(cheapest, self.serving_usd_on(costs, n_dense, num_experts, gpus))
        return cheapest

    def serving_usd_on(self, costs: Mapping[str, float], n_dense: Any, num_experts: int, gpus: int) -> Any:
        """USD per million output tokens on a number of GPUs, attention spread as is cheaper; NaN where the model does not fit."""
        spread = self.scenario.serving.attention if self.scenario.serving.latency_table is None else "tensor"
        ranks = {"tensor": (1,), "data": (gpus,), "either": (1, gpus)}[spread]
        return np.fmin.reduce([self.usd_laid_out(costs, n_dense, num_experts, gpus, one) for one in ranks])

    def usd_laid_out(self, costs: Mapping[str, float], n_dense: Any, num_experts: int, gpus: int, ranks: int) -> Any:
        """USD per million output tokens on a number of GPUs with attention data-parallel over so many of them."""
        n_dense = np.asarray(n_dense, dtype=float)
        serving, family = self.scenario.serving, self.scenario.architecture
        memory, size = CHIPS[serving.accelerator][3], BYTES[serving.precision]
        wide = costs["width_times_layers"] * np.cbrt(n_dense) ** 2
        width = n_dense / (12.0 * wide)
        weights = size * n_dense * (self.ratio("n_total", num_experts) + (ranks - 1) / 3.0) + 4.0 * family.vocab_size * width
        # A head of keys is 128 wide; what cannot be split is kept on each GPU.
        heads = np.maximum(np.maximum(costs["kv_share"] * width / 128.0, 1.0), ranks)
        element = size if serving.bytes_per_kv_element is None else serving.bytes_per_kv_element
        request = self.request_bytes(costs, 2.0 * wide * costs["kv_share"] * element) * gpus / np.minimum(gpus, heads)
        batch = np.minimum(np.floor((gpus * memory * serving.memory_fraction - weights) / request), serving.max_batch)
        batch = np.where(batch >= 1.0, batch, np.nan)
        seconds = costs["slowdown"] * self.iteration_s(costs, num_experts, gpus, n_dense, batch, wide, request, ranks)
        usd_per_s = gpus * costs["serving_price_usd_per_gpu_hour"] / 3600.0
        return 1e6 * usd_per_s * seconds / batch / costs["utilization"]

    def training_usd(self, costs: Mapping[str, float], n_dense: Any, num_experts: int) -> Any:
        """USD of training."""
        training = self.scenario.training
        flop = self.flop_per_token(n_dense, num_experts) * self.tokens(n_dense, num_experts)
        seconds = flop / (CHIPS[training.accelerator][0] * costs["mfu"])
        return seconds / 3600.0 * costs["training_price_usd_per_gpu_hour"]

    def grid(self, num_experts: int) -> np.ndarray:
        """Every ln size considered."""
        largest = LARGEST
        if self.fixed_tokens is not None:
            largest = np.log(self.scenario.training.budget_flop / self.fixed_tokens / self.flop_per_token(1.0, num_experts))
        return np.linspace(SMALLEST, largest, max(3, int((largest - SMALLEST) / _STEP)))

    def loss_optimum(self, p: Mapping[str, float], num_experts: int) -> float:
        """ln size of the lowest loss; NaN where it is at the end of all sizes, unless that end is the budget."""
        grid = self.grid(num_experts)
        at = int(np.argmin(self.loss(p, np.exp(grid), num_experts)))
        if at == len(grid) - 1 and self.fixed_tokens is not None:
            return float(grid[-1])
        if at in (0, len(grid) - 1):
            return float("nan")
        bounds = (grid[at - 1], grid[at + 1])
        found = minimize_scalar(
            lambda x: self.loss(p, np.exp(x), num_experts), bounds=bounds, method="bounded", options={"xatol": 1e-9}
        )
        return float(found.x)

    def constrained(self, goal: Callable[[Any], Any], limit: Callable[[Any], Any], most: float, grid: np.ndarray) -> float:
        """ln size of the lowest ``goal`` among those whose ``limit`` is at most ``most``; NaN where none is."""

        def kept(x: Any) -> Any:
            return (limit(x) <= most * (1.0 + _SLACK)) & np.isfinite(goal(x))

        keeps = kept(grid)
        values = np.where(keeps, goal(grid), np.nan)
        if np.isnan(values).all():
            return float("nan")
        at = int(np.nanargmin(values))
        candidates = [grid[at]]
        for beside in (at - 1, at + 1):
            if 0 <= beside < len(grid) and not keeps[beside]:
                edge = bisect(lambda x: 0.5 - kept(x), grid[at], grid[beside], xtol=1e-13)
                candidates.append(edge + 1e-9 * np.sign(grid[at] - grid[beside]))
        return float(min(candidates, key=goal))

    def solve(self, p: Mapping[str, float], costs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """ln sizes by expert count: the loss optimum and the solution of both problems; NaN where infeasible."""
        counts = self.scenario.choices.num_experts
        of = [{name: values[min(k, len(values) - 1)] for name, values in costs.items()} for k in range(len(counts))]
        optima = [self.loss_optimum(p, count) for count in counts]
        base = counts.index(self.scenario.choices.baseline_num_experts)
        at_base = np.exp(optima[base])
        target, bound = self.loss(p, at_base, counts[base]), float(self.serving_usd(of[base], at_base, counts[base]))
        found: dict[str, list[float]] = {"loss_optimal": optima, "cheapest_serving": [], "lowest_loss": []}
        for count, optimum, cost in zip(counts, optima, of, strict=True):
            if np.isnan([optimum, at_base]).any():
                found["cheapest_serving"].append(float("nan"))
                found["lowest_loss"].append(float("nan"))
                continue
            sizes = np.union1d(self.grid(count), [optimum])

            def loss(x: Any, count: int = count) -> Any:
                return self.loss(p, np.exp(x), count)

            def usd(x: Any, count: int = count, cost: Any = cost) -> Any:
                return self.serving_usd(cost, np.exp(x), count)

            own = np.array([optimum]) if count == counts[base] else sizes
            found["cheapest_serving"].append(self.constrained(usd, loss, target, own))
            found["lowest_loss"].append(self.constrained(loss, usd, bound, sizes))
        return {name: np.array(values) for name, values in found.items()}

    def answers(
        self, parameters: Mapping[str, Any], costs: Mapping[str, Any], draws: Sequence[int]
    ) -> dict[str, dict[str, np.ndarray]]:
        """Quantities of both problems, by problem and name, each of shape (num_experts, draws)."""
        parameters = {name: np.asarray(values) for name, values in parameters.items()}
        costs = flat(costs)
        counts = self.scenario.choices.num_experts
        made: dict[str, dict[str, np.ndarray]] = {
            problem: {name: np.full((len(counts), len(draws)), np.nan) for name in QUANTITIES}
            for problem in ("cheapest_serving", "lowest_loss")
        }
        for column, draw in enumerate(draws):
            p = {name: float(values[draw]) for name, values in parameters.items()}
            cost = {name: values[draw] for name, values in costs.items()}
            solved = self.solve(p, cost)
            for problem, quantities in made.items():
                for k, count in enumerate(counts):
                    if np.isnan(solved[problem][k]):
                        continue
                    own = {name: float(values[min(k, len(values) - 1)]) for name, values in cost.items()}
                    n_dense, optimum = np.exp(solved[problem][k]), np.exp(solved["loss_optimal"][k])
                    row = {
                        "n_dense": n_dense,
                        "n_total": n_dense * self.ratio("n_total", count),
                        "tokens": self.tokens(n_dense, count),
                        "loss": self.loss(p, n_dense, count),
                        "serving_usd_per_million_tokens": self.serving_usd(own, n_dense, count),
                        "train_usd": self.training_usd(own, n_dense, count),
                        "over_training_ratio": self.tokens(n_dense, count) / self.tokens(optimum, count),
                    }
                    for name in QUANTITIES:
                        quantities[name][k, column] = row[name]
        return made


OBJECTIVES = {"cheapest_serving": "serving_usd_per_million_tokens", "lowest_loss": "loss"}


def require_same_plan(plan: Any, draws: Sequence[int], answers: Mapping[str, Mapping[str, np.ndarray]]) -> None:
    """Assert that a plan agrees with the oracle draw by draw: feasibility, every quantity, the best count, the bands."""
    for problem, objective in OBJECTIVES.items():
        mine, its = answers[problem], plan.sel(problem=problem).isel(sample=list(draws))
        feasible = np.isfinite(mine["n_dense"])
        np.testing.assert_array_equal(its["feasible"].values, feasible, err_msg=f"feasibility, {problem}")
        for name in QUANTITIES:
            values = its[name].transpose("num_experts", "sample").values
            rtol = SIZE_RTOL if name == "n_dense" else RTOL
            np.testing.assert_allclose(values, mine[name], rtol=rtol, err_msg=f"{name}, {problem}")
            some = feasible.any(axis=1)
            bands = (np.nanquantile(v[some], [0.05, 0.5, 0.95], axis=1) for v in (values, mine[name]))
            np.testing.assert_allclose(*bands, rtol=RTOL, err_msg=f"bands of {name}, {problem}")
        best = (np.where(feasible, v, np.inf).argmin(axis=0) for v in (its[objective].values, mine[objective]))
        np.testing.assert_array_equal(*best, err_msg=f"best expert count, {problem}")


def replica_sizes(most: int) -> list[int]:
    """GPUs of a replica: 1, 2, 4, 8, ..., and as many as there are."""
    return [count for count in range(1, most + 1) if count == most or count & (count - 1) == 0]
