"""What is known of a candidate at a size and a number of tokens."""

from __future__ import annotations

from typing import Annotated, Any, NamedTuple, get_type_hints

ROUNDING = 1e-6
"""Relative excess over a limit that is rounding, in single precision."""


class Quantities(NamedTuple):
    """Each an array of one shape, (S, K) or (S, K, M), in the unit that stands beside it.

    The loss is that of the model as it is served: what few bits in training and in serving take is in it, and ``quantization_loss`` says what quantizing after training does.
    Serving is NaN where no replica serves the model, a lifetime where the scenario gives no demand, and epochs where it limits no tokens.
    Days of training are NaN without a cluster, kWh and CO2 where power or carbon are not known. What a cluster cannot hold takes infinite time.
    """

    n_dense: Annotated[Any, "parameters"]
    n_active: Annotated[Any, "parameters"]
    n_total: Annotated[Any, "parameters"]
    top_k: Annotated[Any, "experts per token"]
    granularity: Annotated[Any, "1"]
    tokens: Annotated[Any, "tokens"]
    epochs: Annotated[Any, "passes over the unique tokens"]
    tokens_per_total_parameter: Annotated[Any, "tokens per parameter, of all experts"]
    loss: Annotated[Any, "nats/token"]
    quantization_loss: Annotated[Any, "nats/token, of the loss"]
    serving_usd_per_million_tokens: Annotated[Any, "USD per million output tokens"]
    n_gpus: Annotated[Any, "GPUs per replica"]
    batch: Annotated[Any, "requests"]
    output_tokens_per_s: Annotated[Any, "tokens/s of a replica"]
    fleet_tokens_per_s: Annotated[Any, "tokens/s of all GPUs of the fleet"]
    memory_bytes: Annotated[Any, "bytes of weights and cached tokens"]
    train_flop: Annotated[Any, "FLOP"]
    train_usd: Annotated[Any, "USD"]
    train_gpu_hours: Annotated[Any, "GPU-hours"]
    train_days: Annotated[Any, "days of the cluster"]
    train_mfu: Annotated[Any, "share of the peak in bfloat16"]
    train_kwh: Annotated[Any, "kWh"]
    train_co2_kg: Annotated[Any, "kg CO2"]
    lifetime_flop: Annotated[Any, "FLOP of training and serving"]
    lifetime_usd: Annotated[Any, "USD of training and serving"]


QUANTITIES: dict[str, str] = {
    name: hint.__metadata__[0] for name, hint in get_type_hints(Quantities, include_extras=True).items()
}
"""Unit of each of :class:`Quantities`; an expression may name each."""
