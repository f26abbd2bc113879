"""Draws of the uncertain numbers of a scenario."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from bayesmoe.costs.cost import ServingDraws, serving_draws, training_draws
from bayesmoe.costs.uncertain import sample
from bayesmoe.planning.scenario import Scenario


class CostDraws(NamedTuple):
    """Draws of the scenario's uncertain numbers: arrays of shape (S, 1), or (S, K) where candidates differ.

    Attributes
    ----------
    serving : ServingDraws
        Prices, traffic, targets and latency of serving.
    training : dict of array
        MFU and price of training.
    width_times_layers : array
        Width of a model over its layers.
    lifetime_tokens : array or None
        Output tokens served in all; None where the scenario gives no demand.
    """

    serving: ServingDraws
    training: dict[str, Any]
    width_times_layers: Any
    lifetime_tokens: Any = None

    def by_name(self) -> dict[str, np.ndarray]:
        """Mean over candidates of each number by its key in the scenario, shape (S,); of the latency, of ln slowdown."""
        serving = self.serving
        columns = {
            "training.mfu": self.training["mfu"],
            "training.price_usd_per_gpu_hour": self.training["price_usd_per_gpu_hour"],
            "serving.price_usd_per_gpu_hour": serving.price_usd_per_gpu_hour,
            "serving.utilization": serving.utilization,
            "serving.prompt_tokens": serving.traffic.prompt_tokens,
            "serving.output_tokens": serving.traffic.output_tokens,
            "serving.latency": jnp.log(serving.coefficients.slowdown),
            "architecture.width_times_layers": self.width_times_layers,
        }
        if self.lifetime_tokens is not None:
            columns["serving.lifetime_tokens"] = self.lifetime_tokens
        return {name: np.asarray(values).mean(axis=1) for name, values in columns.items()}


def sample_costs(scenario: Scenario, draws: int) -> CostDraws:
    """So many draws of a scenario's uncertain numbers."""
    rng = np.random.default_rng((scenario.seed, 1))
    lifetime = scenario.serving.lifetime_tokens
    found = CostDraws(
        serving=serving_draws(scenario.serving, draws, len(scenario.candidates), rng),
        training=training_draws(scenario.training, draws, rng),
        width_times_layers=sample(scenario.architecture.width_times_layers, (draws, 1), rng),
        lifetime_tokens=None if lifetime is None else sample(lifetime, (draws, 1), rng),
    )
    return jax.tree.map(jnp.asarray, found)
