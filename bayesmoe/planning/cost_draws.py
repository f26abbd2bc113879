"""Draws of the uncertain numbers of a scenario."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from bayesmoe.costs.draws import ServingDraws, serving_draws, training_draws
from bayesmoe.costs.training.by_size import ThroughputBySize
from bayesmoe.costs.training.cost import cluster_of
from bayesmoe.costs.training.fastest_by_size import sizes, throughput_by_size
from bayesmoe.costs.training.layouts import Cluster
from bayesmoe.costs.training.trained_model import Trained
from bayesmoe.costs.uncertain import median, sample
from bayesmoe.planning.precision_draws import PrecisionDraws, precision_draws
from bayesmoe.planning.scenario import Scenario


class CostDraws(NamedTuple):
    """Draws of the scenario's uncertain numbers: arrays of shape (S, 1), or (S, K) where candidates differ.

    Attributes
    ----------
    serving : ServingDraws
        Prices, traffic, targets and latency of serving.
    training : dict of array
        Price of training, and MFU where every architecture has the same.
    width_times_layers : array
        Width of a model over its layers.
    kv_share : array
        Cache of a token over that of multi-head attention.
    lifetime_tokens : array or None
        Output tokens served in all; None where the scenario gives no demand.
    throughput : ThroughputBySize or None
        Seconds of one GPU per training FLOP along the sizes of each candidate; None where every architecture has the same MFU.
    precision : PrecisionDraws
        What few bits in training and in serving take from the loss.
    """

    serving: ServingDraws
    training: dict[str, Any]
    width_times_layers: Any
    kv_share: Any
    lifetime_tokens: Any = None
    throughput: ThroughputBySize | None = None
    precision: PrecisionDraws = PrecisionDraws()

    def by_name(self) -> dict[str, np.ndarray]:
        """Mean over candidates of each number by its key in the scenario, shape (S,); of the latency, of ln slowdown, and of throughput, of ln FLOP/s over sizes."""
        serving = self.serving
        columns = {
            **{f"training.{name}": values for name, values in self.training.items() if name == "mfu"},
            "training.price_usd_per_gpu_hour": self.training["price_usd_per_gpu_hour"],
            "serving.price_usd_per_gpu_hour": serving.price_usd_per_gpu_hour,
            "serving.utilization": serving.utilization,
            "serving.prompt_tokens": serving.traffic.prompt_tokens,
            "serving.output_tokens": serving.traffic.output_tokens,
            "serving.cached_share": serving.traffic.cached_share,
            "serving.latency": jnp.log(serving.coefficients.slowdown),
            "architecture.width_times_layers": self.width_times_layers,
            "architecture.kv_share": self.kv_share,
        }
        if self.lifetime_tokens is not None:
            columns["serving.lifetime_tokens"] = self.lifetime_tokens
        if self.throughput is not None:
            columns["training.throughput"] = -self.throughput.ln_seconds.mean(axis=-1)
        columns |= self.precision.by_name()
        return {name: np.asarray(values).mean(axis=1) for name, values in columns.items()}


def sample_costs(scenario: Scenario, draws: int) -> CostDraws:
    """So many draws of a scenario's uncertain numbers."""
    rng = np.random.default_rng((scenario.seed, 1))
    lifetime, cluster = scenario.serving.lifetime_tokens, cluster_of(scenario.training)
    found = CostDraws(
        serving=serving_draws(scenario.serving, draws, len(scenario.candidates), rng),
        training=training_draws(scenario.training, draws, rng),
        width_times_layers=sample(scenario.architecture.width_times_layers, (draws, 1), rng),
        kv_share=sample(scenario.architecture.kv_share, (draws, 1), rng, most=1.0),
        lifetime_tokens=None if lifetime is None else sample(lifetime, (draws, 1), rng),
        throughput=None if cluster is None or not scenario.training.by_layout else _throughput(scenario, cluster, draws),
        precision=precision_draws(scenario, draws),
    )
    return jax.tree.map(jnp.asarray, found)


def _throughput(scenario: Scenario, cluster: Cluster, draws: int) -> ThroughputBySize:
    """Throughput of each candidate on the cluster, at the median width of models over their layers."""
    training, architecture, candidates = scenario.training, scenario.architecture, scenario.candidates
    families = tuple(architecture.family(one.top_k, one.granularity) for one in candidates)
    counts = tuple(one.num_experts for one in candidates)
    asked = Trained(counts, families, median(architecture.width_times_layers), architecture.moe_layer_share)
    flop = [
        family.train_flop_per_token(sizes(), float(count), training.flop_rule)
        for count, family in zip(counts, families, strict=True)
    ]
    return throughput_by_size(
        asked,
        cluster,
        np.stack(flop),
        draws,
        np.random.default_rng((scenario.seed, 3)),
        accelerator=training.accelerator,
        calibration=training.calibration,
    )
