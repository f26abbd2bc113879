"""Serving prices of thousands of architectures under thousands of draws, at matrix speed."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from bayesmoe.costs.cost import fleet_of, latency_of
from bayesmoe.costs.serving.calibration import drawn_calibration, read_calibration
from bayesmoe.costs.serving.replica import memory_batch
from bayesmoe.costs.serving.roofline import Roofline, Traffic, step_terms
from bayesmoe.costs.serving.served_model import ServedModel
from bayesmoe.costs.uncertain import sample
from bayesmoe.costs.workload import ServingSpec, price_of
from bayesmoe.errors import InputError
from bayesmoe.units import SECONDS_PER_HOUR, TOKENS_PER_MILLION

_BLOCK = 50
_FREQUENCIES = 8


def serving_prices(model: ServedModel, spec: ServingSpec, *, draws: int, seed: int = 0) -> jax.Array:
    """USD per million output tokens of every architecture under every draw, at the cheapest number of GPUs.

    ``price_sk = C0_s / rho_s common_s exp(sd_s w_k . z_s) min_g ( g / b_kg  sum_c slope_sc term_kgc )``: where lengths are certain and no
    latency is targeted, the batch b and the terms are the same in every draw, and a price is a product of matrices. Architectures near
    each other in the logarithms of total and active parameters and of layers miss alike: ``w_k`` are random features of a Gaussian
    kernel with unit length, ``z_s`` standard normal.

    Parameters
    ----------
    model : Served
        K architectures, leaves of shape (K,).
    spec : ServingSpec
        Fleet; lengths must be numbers, no latency targeted, latency from the roofline.
    draws, seed : int
        S, and the seed.

    Returns
    -------
    array, shape (S, K)
        USD per million output tokens; infinite where no allowed number of GPUs holds the model.

    Raises
    ------
    InputError
        Lengths are uncertain, a latency is targeted or measured: :func:`bayesmoe.costs.cost.cost` takes these.
    """
    latency = latency_of(spec)
    lengths = (spec.prompt_tokens, spec.output_tokens, spec.bytes_per_kv_element)
    targeted = spec.max_tpot_s is not None or spec.max_ttft_s is not None
    if targeted or not isinstance(latency, Roofline) or not all(isinstance(one, float | int) for one in lengths):
        raise InputError("needs certain lengths, the roofline and no latency target", hint="price such a fleet with `cost`")
    rng = np.random.default_rng(seed)
    known = drawn_calibration(
        read_calibration(spec.calibration), draws, rng, accelerator=spec.accelerator, engine=spec.engine
    )
    scale = known.common * sample(price_of(spec), draws, rng) / sample(spec.utilization, draws, rng, most=1.0)
    scale = scale * TOKENS_PER_MILLION / SECONDS_PER_HOUR
    features = _seconds_per_token(model, spec, latency, Traffic(*lengths))
    alike, own = _alike(model, rng), known.own_sd[:, None] * rng.standard_normal((draws, 2 * _FREQUENCIES))
    # Whole blocks: the last one is filled up and cut off again.
    fill = -len(features) % _BLOCK
    features, alike = (np.concatenate([part, np.repeat(part[-1:], fill, axis=0)]) for part in (features, alike))
    return _priced(features, alike, np.stack(known.step, axis=1), own, scale)[:, : len(model.n_total)]


def _seconds_per_token(model: ServedModel, spec: ServingSpec, latency: Roofline, traffic: Traffic) -> np.ndarray:
    """GPU seconds of an output token by term, shape (K, G, term); infinite where the model does not fit."""
    fleet = fleet_of(spec)
    gpus = np.arange(1.0, spec.max_gpus + 1.0)
    spread = ServedModel(*(np.asarray(leaf)[:, None] for leaf in model))
    batch = np.minimum(np.asarray(memory_batch(spread, gpus, traffic, fleet)), fleet.max_batch)
    terms = step_terms(
        spread, np.maximum(batch, 1.0), gpus, traffic, latency.accelerator, latency.precision, evenness=latency.evenness
    )
    found = np.stack([np.broadcast_to(term, batch.shape) for term in terms], axis=-1)
    return np.where(batch[..., None] >= 1.0, found * gpus[:, None] / np.maximum(batch, 1.0)[..., None], np.inf)


def _alike(model: ServedModel, rng: np.random.Generator) -> np.ndarray:
    """Random features of unit length, shape (K, 2 frequencies), whose products are near ``exp(-distance^2 / 2)``."""
    place = np.log(np.stack([model.n_total, model.n_active, model.num_layers], axis=1))
    phase = place @ rng.standard_normal((3, _FREQUENCIES))
    return np.concatenate([np.cos(phase), np.sin(phase)], axis=1) / np.sqrt(_FREQUENCIES)


@jax.jit
def _priced(features: Any, alike: Any, slopes: Any, own: Any, scale: Any) -> jax.Array:
    def priced(part: tuple[Any, Any]) -> Any:
        seconds, near = part
        cheapest = jnp.inf
        for gpus in range(seconds.shape[1]):
            # Written out, the sum of a few terms stays in the registers; a product of matrices this thin does not.
            terms = (seconds[:, gpus, c, None] * slopes[:, c] for c in range(slopes.shape[1]))
            cheapest = jnp.minimum(cheapest, sum(terms))
        return cheapest * jnp.exp(near @ own.T) * scale

    blocks = (part.reshape(-1, _BLOCK, *part.shape[1:]) for part in (features, alike))
    return jax.lax.map(priced, tuple(blocks)).reshape(len(features), -1).T
