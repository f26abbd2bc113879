"""What a design of a surface costs to train: time, money, energy; and what its lifetime does."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from bayesmoe.arrays import Elementwise
from bayesmoe.costs.hardware import accelerator_named
from bayesmoe.costs.training import gpu_usd, seconds_per_train_flop
from bayesmoe.planning.quantities import ROUNDING, Quantities
from bayesmoe.units import GRAMS_PER_KG, HOURS_PER_DAY, SECONDS_PER_HOUR, TOKENS_PER_MILLION

if TYPE_CHECKING:
    from bayesmoe.planning.surface import DesignSurface


def beside(leaf: Any, ln_size: Any) -> Any:
    """An array of shape (S, 1) or (S, K) beside the sizes of ``ln_size``."""
    return leaf if jnp.ndim(leaf) == 0 else jnp.reshape(leaf, jnp.shape(leaf) + (1,) * (jnp.ndim(ln_size) - 2))


def seconds_per_flop(here: DesignSurface, ln_size: Elementwise) -> Elementwise:
    """Seconds of one GPU per training FLOP: of one utilization, or of the fastest layout of each size, whether it fits or not."""
    by_size = here.cost_draws.throughput
    if by_size is None:
        return beside(seconds_per_train_flop(here.scenario.training, here.cost_draws.training["mfu"]), ln_size)
    return by_size.seconds_per_flop(ln_size)


def trains(here: DesignSurface, ln_size: Elementwise) -> Any:
    """Whether the cluster holds a size in some layout; always true at one utilization."""
    by_size = here.cost_draws.throughput
    return True if by_size is None else by_size.fits(ln_size)


def training_costs(here: DesignSurface, ln_size: Elementwise, train_flop: Elementwise) -> dict[str, Any]:
    """Quantities of training so many FLOP, infinite where nothing fits; days are NaN without a cluster, energy and carbon where they are not known."""
    spec, draws = here.scenario.training, here.cost_draws.training
    chip, seconds, fits = accelerator_named(spec.accelerator), seconds_per_flop(here, ln_size), trains(here, ln_size)
    hours = jnp.where(fits, train_flop * (seconds / SECONDS_PER_HOUR), jnp.inf)
    usd = train_flop * gpu_usd(seconds, beside(draws["price_usd_per_gpu_hour"], ln_size))
    kwh = hours * (spec.kw_per_gpu or chip.kw_all_in or jnp.nan)
    cluster_hours = spec.cluster_gpus and spec.cluster_gpus * spec.training_share * HOURS_PER_DAY
    return {
        "train_usd": jnp.where(fits, usd, jnp.inf),
        "train_gpu_hours": hours,
        "train_days": hours / (cluster_hours or jnp.nan),
        "train_mfu": jnp.where(fits, 1.0 / (seconds * chip.peak_flop_per_s), jnp.nan),
        "train_kwh": kwh,
        "train_co2_kg": kwh * ((spec.grams_co2_per_kwh or jnp.nan) / GRAMS_PER_KG),
    }


def in_time(here: DesignSurface, quantities: Quantities) -> Any:
    """Whether training ends within the days that are a limit beside the budget; true where there is none."""
    most = here.scenario.training.most_days
    return True if most is None else quantities.train_days <= most * (1.0 + ROUNDING)


def trained_in_time(here: DesignSurface, quantities: Quantities) -> Any:
    """Whether the cluster holds the model and trains it in time."""
    return trains(here, jnp.log(quantities.n_dense)) & in_time(here, quantities)


def lifetime_costs(
    here: DesignSurface, ln_size: Elementwise, n_active: Elementwise, usd_per_million: Elementwise
) -> tuple[Elementwise, Elementwise]:
    """FLOP and USD of serving the demand; NaN without one."""
    if here.cost_draws.lifetime_tokens is None:
        return jnp.nan, jnp.nan
    served, draws = beside(here.cost_draws.lifetime_tokens, ln_size), here.cost_draws.serving.traffic
    traffic = jax.tree.map(lambda leaf: beside(leaf, ln_size), draws)
    per_output = 2.0 * n_active * (1.0 + traffic.fresh_tokens / traffic.output_tokens)
    return per_output * served, usd_per_million * served / TOKENS_PER_MILLION


def usual_flop(here: DesignSurface) -> float:
    """Median FLOP of the budget; of a budget in time, at the median throughput of all candidates and sizes."""
    budget = float(np.median(np.asarray(here.budget)))
    by_size = here.cost_draws.throughput
    return budget / float(np.exp(np.median(by_size.ln_seconds))) if by_size is not None and here.in_gpu_time else budget


def bought_surely(laws: tuple[DesignSurface, ...], probability: float) -> DesignSurface:
    """A surface whose budget buys at every size what those of several laws buy with a probability; of one draw, for its tokens alone."""
    first = laws[0]
    if not first.in_gpu_time:
        budgets = np.concatenate([np.ravel(here.budget) for here in laws])
        return first.on_budget(np.quantile(budgets, 1.0 - probability))
    grids: list[Any] = [here.cost_draws.throughput for here in laws]
    # Seconds of a FLOP over those of the whole budget.
    taken = [
        np.asarray(grid.ln_seconds) - np.reshape(np.log(np.asarray(here.budget)), (-1, 1, 1))
        for grid, here in zip(grids, laws, strict=True)
    ]
    throughput = grids[0].with_seconds(np.quantile(np.concatenate(taken), probability, axis=0, keepdims=True))
    return replace(first, budget=1.0, cost_draws=first.cost_draws._replace(throughput=throughput))
