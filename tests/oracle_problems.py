"""Brute-force oracle of every planning problem: one draw at a time, a scan of sizes that looks closer and closer, SciPy for crossings.

It takes nothing for granted about how loss and cost run with size, and shares no code with the package.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from oracle import BYTES, CHIPS, LARGEST, SMALLEST, Oracle, flat, replica_sizes
from scipy.optimize import brentq, minimize_scalar

STEP, CLOSER, ROUNDS = 0.01, 101, 3
JAGGED = ("lifetime_cost",)
"""Problems whose many valleys lie so close that the best of them is found by looking at all."""

VALLEYS, NEARBY, FINEST = 0.001, 0.03, 1e-5
"""Step of the scan there, and how far around its lowest point all is looked at, how closely."""

MOST_TOKENS = 1e20


class Answer(NamedTuple):
    """The best architecture and size of an expert count in one draw; NaN where nothing is feasible."""

    n_dense: float
    tokens: float
    objective: float
    top_k: float
    granularity: float


NOTHING = Answer(*[float("nan")] * 5)


@dataclass(frozen=True)
class Brute:
    """One problem in one draw.

    Parameters
    ----------
    scenario : Scenario
        Read as data.
    law : callable
        ``loss(parameters, size, tokens, num_experts)``; given ``family`` first where it reads the architecture.
    problem : str
        Name.
    size : str
        Parameters that the law calls N.
    of_family : bool
        Whether the law is given the architecture.
    constraint : callable, optional
        The scenario's constraints, written in NumPy.
    """

    scenario: Any
    law: Callable[..., Any]
    problem: str
    size: str = "n_dense"
    of_family: bool = False
    constraint: Callable[[Mapping[str, Any]], Any] | None = None

    def candidates(self) -> list[tuple[int, Oracle]]:
        """Expert counts with the oracle of their architecture, in the order in which costs are drawn."""
        choices, own, found = self.scenario.choices, self.scenario.architecture, []
        pairs = [(k, g) for k in choices.top_k or (own.top_k,) for g in choices.granularity or (own.granularity,)]
        for count in choices.num_experts:
            for top_k, granularity in pairs[:1] if count == 1 else [pair for pair in pairs if pair[0] <= count]:
                family = dataclasses.replace(own, top_k=top_k, granularity=granularity)
                law = (lambda *a, family=family: self.law(family, *a)) if self.of_family else self.law
                found.append((count, Oracle(dataclasses.replace(self.scenario, architecture=family), law, self.size)))
        return found

    def answers(self, parameters: Mapping[str, Any], costs: Mapping[str, Any], draw: int) -> list[Answer]:
        """The answer of each expert count in a draw."""
        p = {name: float(np.asarray(values)[draw]) for name, values in parameters.items()} | of_precision(costs, draw)
        columns = {name: values[draw] for name, values in flat(costs).items()}
        if costs.lifetime_tokens is not None:
            columns["lifetime_tokens"] = np.asarray(costs.lifetime_tokens)[draw]
        of = [{name: float(v[min(k, len(v) - 1)]) for name, v in columns.items()} for k in range(len(self.candidates()))]
        thresholds = self.thresholds(p, of)
        found: dict[int, list[Answer]] = {}
        for (count, oracle), cost in zip(self.candidates(), of, strict=True):
            found.setdefault(count, []).append(self.best(oracle, p, cost, count, thresholds))
        return [
            min(each, key=lambda one: one.objective if one.objective == one.objective else np.inf) for each in found.values()
        ]

    def budget(self, cost: Mapping[str, float]) -> float:
        """FLOP of the budget."""
        training = self.scenario.training
        usd_per_flop = cost["training_price_usd_per_gpu_hour"] / 3600.0 / (CHIPS[training.accelerator][0] * cost["mfu"])
        return training.budget_flop if training.budget_flop is not None else training.budget_usd / usd_per_flop

    def on_budget(self, oracle: Oracle, cost: Mapping[str, float], n_dense: Any, count: int) -> Any:
        """Tokens that the budget buys, of those that there are."""
        limits = self.scenario.limits
        most = np.inf if limits.unique_tokens is None else limits.unique_tokens * limits.max_epochs
        return np.minimum(self.budget(cost) / oracle.flop_per_token(n_dense, count), most)

    def optimum(self, oracle: Oracle, p: Mapping[str, float], cost: Mapping[str, float], count: int) -> tuple[float, float]:
        """ln size and loss of the lowest loss on the budget."""

        def loss(x: Any) -> Any:
            n_dense = np.exp(x)
            return loss_at(oracle, p, n_dense, self.on_budget(oracle, cost, n_dense, count), count)

        x, least = closest(loss, np.arange(SMALLEST, LARGEST, STEP))
        return x, least

    def thresholds(self, p: Mapping[str, float], of: list[Mapping[str, float]]) -> tuple[float, float]:
        """Highest loss and serving cost."""
        limits, base = self.scenario.limits, []
        for (count, oracle), cost in zip(self.candidates(), of, strict=True):
            if count == self.scenario.choices.baseline_num_experts:
                x, least = self.optimum(oracle, p, cost, count)
                base.append((least, float(oracle.serving_usd(cost, np.exp(x), count))))
        loss, serving = min(base)
        own = limits.serving_usd_per_million_tokens
        return limits.loss_nats or loss * (1 + 1e-12), own or serving * (1 + 1e-12)

    def best(self, oracle: Oracle, p: Any, cost: Mapping[str, float], count: int, thresholds: tuple[float, float]) -> Answer:
        """Best size of one architecture."""
        fewest = self.problem.startswith("lifetime")

        def told(x: Any) -> dict[str, Any]:
            n_dense = np.exp(np.asarray(x, dtype=float))
            tokens = (
                tokens_of_loss(oracle, p, n_dense, count, thresholds[0])
                if fewest
                else self.on_budget(oracle, cost, n_dense, count)
            )
            return self.quantities(oracle, p, cost, count, n_dense, tokens)

        def value(x: Any) -> Any:
            found = told(x)
            ok = self.met(found, thresholds)
            return np.where(ok & np.isfinite(found[self.objective]), found[self.objective], np.inf)

        grid = np.arange(SMALLEST, LARGEST, STEP)
        if self.problem == "equal_resources":
            x = float(np.log(self.scenario.limits.n_total_parameters / oracle.ratio("n_total", count)))
            least = float(value(np.array([x]))[0])
        else:
            jagged = self.problem in JAGGED
            if jagged:
                grid = np.arange(np.log(1e7), np.log(1e12), VALLEYS)
            # Where the base's own optimum sets the bar, only that point may keep it.
            x, least = closest(value, np.union1d(grid, [self.optimum(oracle, p, cost, count)[0]]), jagged=jagged)
        if not np.isfinite(least):
            return NOTHING
        family = oracle.scenario.architecture
        dense = count == 1
        return Answer(
            float(np.exp(x)),
            float(told(np.array([x]))["tokens"][0]),
            least,
            1.0 if dense else family.top_k,
            1.0 if dense else family.granularity,
        )

    @property
    def objective(self) -> str:
        """Quantity that is minimized."""
        named = {
            "cheapest_serving": "serving_usd_per_million_tokens",
            "lifetime_cost": "lifetime_usd",
            "lifetime_flop": "lifetime_flop",
        }
        return named.get(self.problem, "loss")

    def quantities(
        self, oracle: Oracle, p: Any, cost: Mapping[str, float], count: int, n_dense: Any, tokens: Any
    ) -> dict[str, Any]:
        """What constraints and objectives read."""
        limits, serving = self.scenario.limits, self.scenario.serving
        active, total = (n_dense * oracle.ratio(kind, count) for kind in ("n_active", "n_total"))
        usd, gpus, speed = replica(oracle, cost, n_dense, count)
        flop = oracle.flop_per_token(n_dense, count) * tokens
        training = self.scenario.training
        seconds = flop / (CHIPS[training.accelerator][0] * cost["mfu"])
        train_usd = seconds / 3600.0 * cost["training_price_usd_per_gpu_hour"]
        served = cost.get("lifetime_tokens", np.nan)
        cached = 2.0 * cost["width_times_layers"] * np.cbrt(n_dense) ** 2 * cost["kv_share"]
        return {
            "n_dense": n_dense, "n_active": active, "n_total": total, "tokens": tokens, "train_flop": flop, "train_usd": train_usd,
            "loss": loss_at(oracle, p, n_dense, tokens, count), "serving_usd_per_million_tokens": usd, "n_gpus": gpus,
            "output_tokens_per_s": speed, "fleet_tokens_per_s": of_fleet(oracle, cost, n_dense, count), "lifetime_usd": train_usd + usd * served / 1e6,
            "lifetime_flop": flop + 2.0 * active * served * (1.0 + cost["prompt_tokens"] / cost["output_tokens"]),
            "memory_bytes": BYTES[serving.precision] * total + limits.cached_tokens * (serving.bytes_per_kv_element or BYTES[serving.precision]) * cached,
        }  # fmt: skip

    def met(self, found: Mapping[str, Any], thresholds: tuple[float, float]) -> Any:
        """Whether constraints hold."""
        limits = self.scenario.limits
        ok = np.full(np.shape(found["loss"]), True)
        if limits.unique_tokens is not None:
            ok &= found["tokens"] <= limits.unique_tokens * limits.max_epochs * (1 + 1e-9)
        if self.problem == "cheapest_serving":
            ok &= found["loss"] <= thresholds[0]
        if self.problem == "lowest_loss":
            ok &= found["serving_usd_per_million_tokens"] <= thresholds[1]
        if self.problem == "memory_limited":
            ok &= found["memory_bytes"] <= limits.memory_bytes
        if self.problem == "fixed_hardware":
            ok &= np.isfinite(found["serving_usd_per_million_tokens"])
            ok &= found["fleet_tokens_per_s"] >= (limits.output_tokens_per_s or 0.0)
        return ok if self.constraint is None else ok & self.constraint(found)


def of_precision(costs: Any, draw: int) -> dict[str, float]:
    """What low precision takes from the loss in a draw, under names that no law has."""
    drawn = costs.precision
    found = {} if drawn.ln_size_kept is None else {"size_kept": np.exp(float(drawn.ln_size_kept[draw, 0]))}
    if drawn.quantization is not None:
        names = ("q_coefficient", "q_tokens", "q_size", "q_share")
        found |= {name: float(values[draw, 0]) for name, values in zip(names, drawn.quantization, strict=False)}
    return found


def with_repeats(law: Callable[..., Any], unique: float) -> Callable[..., Any]:
    """A law of fresh tokens on so many distinct ones: what repeats are worth, and what size is beside them (arXiv:2305.16264)."""

    def faded(whole: Any, base: Any, decay: float) -> Any:
        return base * (1.0 + decay * (1.0 - np.exp(-(whole / base - 1.0) / decay)))

    def loss(p: Any, size: Any, tokens: Any, count: int) -> Any:
        own = np.minimum(unique, tokens)
        worth = faded(tokens, own, p["repeat_decay"])
        for_data = np.minimum(size, p["size_per_token"] * own)
        used = np.log(worth / own) / np.log(1.0 + p["repeat_decay"])
        overfit = p["overfitting"] * np.log(tokens / own) ** 2 * np.log(1.0 + size / own)
        return law(p, size * (faded(size, for_data, p["excess_decay"]) / size) ** used, worth, count) + overfit

    return loss


def loss_at(oracle: Oracle, p: Any, n_dense: Any, tokens: Any, count: int) -> Any:
    """Loss of the served model at a size and tokens."""
    loss = oracle.law(p, n_dense * p.get("size_kept", 1.0) * oracle.ratio(oracle.size, count), tokens, count)
    if "q_coefficient" not in p:
        return loss
    active, total = (n_dense * oracle.ratio(kind, count) for kind in ("n_active", "n_total"))
    size = active ** (1.0 - p["q_share"]) * total ** p["q_share"]
    return loss + np.exp(p["q_coefficient"]) * tokens ** p["q_tokens"] / size ** p["q_size"]


def tokens_of_loss(oracle: Oracle, p: Any, n_dense: Any, count: int, target: float) -> Any:
    """Fewest tokens that reach a loss, size by size; infinite where none do."""
    low, high = np.full(np.shape(n_dense), np.log(1e3)), np.full(np.shape(n_dense), np.log(MOST_TOKENS))
    if "q_coefficient" in p or "repeat_decay" in p:
        # The loss may rise again: look at all tokens, and begin at the first that reach it.
        grid = np.linspace(np.log(1e3), np.log(MOST_TOKENS), 801)
        each = np.ravel(n_dense)[:, None]
        kept = loss_at(oracle, p, each, np.exp(grid)[None], count) <= target
        first = np.where(kept.any(axis=1), kept.argmax(axis=1), len(grid) - 1).reshape(np.shape(n_dense))
        low, high = grid[np.maximum(first - 1, 0)], grid[first]
    reached = loss_at(oracle, p, n_dense, np.exp(high), count) <= target
    for _ in range(60):
        middle = 0.5 * (low + high)
        above = loss_at(oracle, p, n_dense, np.exp(middle), count) > target
        low, high = np.where(above, middle, low), np.where(above, high, middle)
    return np.where(reached, np.exp(high), np.inf)


def replica(oracle: Oracle, cost: Mapping[str, float], n_dense: Any, count: int) -> tuple[Any, Any, Any]:
    """Price, GPUs and tokens a second of the cheapest replica, by a loop over GPU counts."""
    serving = oracle.scenario.serving
    best, gpus, speed = (np.full(np.shape(n_dense), np.nan) for _ in range(3))
    for number in replica_sizes(serving.max_gpus):
        usd = oracle.serving_usd_on(cost, n_dense, count, number)
        better = np.isfinite(usd) & ~(usd >= best)
        per_s = number * cost["serving_price_usd_per_gpu_hour"] / 3600.0 / cost["utilization"] * 1e6 / usd
        best, gpus, speed = np.where(better, usd, best), np.where(better, number, gpus), np.where(better, per_s, speed)
    return best, gpus, speed


def of_fleet(oracle: Oracle, cost: Mapping[str, float], n_dense: Any, count: int) -> Any:
    """Tokens a second of all GPUs in whole replicas of the best size, by a loop over sizes."""
    serving, found = oracle.scenario.serving, np.zeros(np.shape(n_dense))
    for gpus in replica_sizes(serving.max_gpus):
        usd = oracle.serving_usd_on(cost, n_dense, count, gpus)
        per_s = gpus * cost["serving_price_usd_per_gpu_hour"] / 3600.0 / cost["utilization"] * 1e6 / usd
        found = np.fmax(found, np.floor(serving.max_gpus / gpus) * per_s)
    return found


def closest(value: Callable[[Any], Any], grid: np.ndarray, *, jagged: bool = False) -> tuple[float, float]:
    """x and value of the lowest point of a grid, looked at closer and closer."""
    best, least = float("nan"), float("inf")
    for number in range(ROUNDS):
        if jagged and number == 1:
            grid = np.arange(best - NEARBY, best + NEARBY, FINEST)
        values = np.asarray(value(grid))
        at = int(np.argmin(values))
        if values[at] < least:
            best, least = float(grid[at]), float(values[at])
        if not np.isfinite(least):
            break
        near = int(np.argmin(np.abs(grid - best)))
        grid = np.linspace(grid[max(near - 1, 0)], grid[min(near + 1, len(grid) - 1)], CLOSER)
    return best, least


def dense_leverage(brute: Brute, p: Mapping[str, float], cost: Mapping[str, float], loss: float, spent_flop: float) -> float:
    """FLOP of the dense model of equal loss over FLOP spent, by SciPy."""
    count, oracle = next((count, oracle) for count, oracle in brute.candidates() if count == 1)

    def lowest(ln_flop: float) -> float:
        def at(x: float) -> float:
            n_dense = np.exp(x)
            return float(loss_at(oracle, p, n_dense, np.exp(ln_flop) / oracle.flop_per_token(n_dense, count), count))

        found: Any = minimize_scalar(at, bounds=(SMALLEST, LARGEST), method="bounded", options={"xatol": 1e-8})
        return float(found.fun)

    middle = np.log(spent_flop)
    found: Any = brentq(lambda x: lowest(x) - loss, middle - np.log(50.0), middle + np.log(1e4))
    return float(np.exp(found) / spent_flop)
