"""The fastest layout that fits, along the sizes of an architecture and in every draw."""

from __future__ import annotations

from functools import lru_cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from bayesmoe.costs.precisions import TrainingPrecision
from bayesmoe.costs.training.by_size import ThroughputBySize
from bayesmoe.costs.training.calibration import drawn_training, read_training_calibration, training_slopes
from bayesmoe.costs.training.layout import Layout
from bayesmoe.costs.training.layouts import Cluster, layouts, room
from bayesmoe.costs.training.memory import MEMORY_SD, training_memory
from bayesmoe.costs.training.step import Chip, Slopes
from bayesmoe.costs.training.throughput import seconds_per_token
from bayesmoe.costs.training.trained_model import Trained, TrainedModel

KNOTS = 25
"""Sizes at which layouts are tried: four to a decade over six decades, between which a rate moves by a few percent."""

ENDS = (1e7, 1e13)
"""Smallest and largest of them, backbone parameters; rates beyond go on as they end."""

_WIDTH = 128.0
"""Widths are multiples of it, which every tensor parallelism divides."""

_TRIED = 32
"""Draws in which all layouts are compared: a layout that is the fastest in none of them is left out."""

_SLACK = (-3.0, -1.5, 0.0, 1.5, 3.0)
"""Deviations of activations at which they are compared there: where memory is short, the next best layout is much slower."""

_KEPT = 10
"""Layouts of one size that are compared in every draw, those that are the fastest most often."""

_TOGETHER = 16_384
"""Layouts computed together."""


def throughput_by_size(
    asked: Trained,
    cluster: Cluster,
    flop_per_token: np.ndarray,
    draws: int,
    rng: np.random.Generator,
    *,
    accelerator: str,
    calibration: str | None = None,
) -> ThroughputBySize:
    """Seconds of one GPU per training FLOP by ln size, of the fastest layout that fits in each draw.

    Layouts are compared at :data:`KNOTS` sizes. Where none fits, the rate is that of the leanest, so that it goes on smoothly; which sizes fit is
    said apart, by the bytes that the leanest layout needs, straight in logarithms between knots.

    Parameters
    ----------
    asked : Trained
        K architectures.
    cluster : Cluster
        What trains them.
    flop_per_token : array, shape (K, KNOTS)
        Training FLOP of a token at :func:`sizes`, by the rule that FLOP are counted by.
    draws, rng : int, Generator
        S, and where randomness comes from.
    accelerator, calibration : str
        Name of the cluster's accelerator in the calibration, and the calibration's file.

    Raises
    ------
    InputError
        The calibration cannot be read.
    """
    posterior = read_training_calibration(calibration)
    drawn = drawn_training(posterior, draws, rng, accelerator=accelerator, precision=cluster.precision)
    slopes = training_slopes(drawn, np.array(asked.num_experts) > 1, rng)
    slack = np.exp(MEMORY_SD * rng.standard_normal((draws, 1)))
    kept = _worth_trying(asked, cluster, accelerator, calibration)
    parts = [_along(one, _of_model(slopes, k), slack, cluster) for k, one in enumerate(kept)]
    ln_sizes = np.log(sizes())
    found = [_limits(ln_sizes, *part) for part in parts]
    ln_seconds, smallest, largest = (np.stack(each, axis=1) for each in zip(*found, strict=True))
    step = float(ln_sizes[1] - ln_sizes[0])
    filled = np.stack([part[1] for part in parts], axis=1)
    return ThroughputBySize.of(
        ln_seconds - np.log(flop_per_token), filled, smallest, largest, first=float(ln_sizes[0]), step=step
    )


class _Kept(NamedTuple):
    """Layouts of one architecture that are compared in every draw; leaves of shape (G * :data:`_KEPT`,), ``known`` of (G, :data:`_KEPT`)."""

    model: TrainedModel
    layout: Layout
    known: np.ndarray


def sizes() -> np.ndarray:
    """Backbone parameters at which layouts are compared, shape (KNOTS,)."""
    return np.geomspace(*ENDS, KNOTS)


def _of_model(slopes: Slopes, k: int) -> Slopes:
    return slopes._replace(unevenness=slopes.unevenness[:, k : k + 1], slowdown=slopes.slowdown[:, k : k + 1])


@lru_cache(maxsize=8)
def _worth_trying(asked: Trained, cluster: Cluster, accelerator: str, calibration: str | None) -> tuple[_Kept, ...]:
    """By architecture, the layouts that are the fastest that fit, or the leanest, in some of a few draws."""
    found = []
    for k in range(len(asked.num_experts)):
        models = asked.models(k, sizes(), cluster.sequence_tokens)
        found.append(_often_best(models, every_layout(asked, k, sizes(), cluster, accelerator, calibration), room(cluster)))
    return tuple(found)


class Tried(NamedTuple):
    """Every layout of an architecture at some sizes, in a few draws.

    Attributes
    ----------
    place : array, shape (layout,)
        Which size each is of.
    layout : Layout
        Leaves of shape (layout,).
    seconds : array, shape (draw, layout)
        Of one GPU per token.
    needed : array, shape (slack, layout)
        Bytes of a GPU where activations deviate by each of :data:`_SLACK`.
    """

    place: np.ndarray
    layout: Layout
    seconds: np.ndarray
    needed: np.ndarray


def every_layout(
    asked: Trained, number: int, n_dense: np.ndarray, cluster: Cluster, accelerator: str, calibration: str | None
) -> Tried:
    """All layouts of one architecture at several sizes, in :data:`_TRIED` draws.

    Raises
    ------
    InputError
        The calibration cannot be read.
    """
    rng, posterior = np.random.default_rng(0), read_training_calibration(calibration)
    drawn = drawn_training(posterior, _TRIED, rng, accelerator=accelerator, precision=cluster.precision)
    slopes = training_slopes(drawn, np.array([asked.num_experts[number] > 1]), rng)
    models = asked.models(number, n_dense, cluster.sequence_tokens)
    # Of layers, layouts ask which powers of two they reach.
    layers = 2.0 ** np.floor(np.log2(np.maximum(np.round(models.num_layers), 1.0)))
    parts = [_layouts(float(asked.num_experts[number]), float(each), cluster) for each in layers]
    place = np.repeat(np.arange(len(parts)), [len(part.num_gpus) for part in parts])
    layout = Layout(*(np.concatenate(leaves) for leaves in zip(*parts, strict=True)))
    slack = np.exp(MEMORY_SD * np.array(_SLACK))[:, None]
    return Tried(place, layout, *_in_parts(_at(models, place), layout, slopes, slack, cluster))


@lru_cache(maxsize=256)
def _layouts(num_experts: float, num_layers: float, cluster: Cluster) -> Layout:
    one = {"num_experts": num_experts, "num_layers": num_layers, "d_model": _WIDTH}
    return layouts(TrainedModel(**dict.fromkeys(TrainedModel._fields, 0.0) | one), cluster)


def _at(leaves: Any, place: np.ndarray) -> Any:
    return type(leaves)(*(leaf[place] for leaf in leaves))


def _in_parts(
    model: TrainedModel, layout: Layout, slopes: Slopes, slack: np.ndarray, cluster: Cluster
) -> tuple[np.ndarray, np.ndarray]:
    """Seconds per token and bytes of a GPU of many layouts, by draw and by slack: as many at a time as one program is compiled for."""
    count = len(layout.num_gpus)
    parts = []
    for first in range(0, count, _TOGETHER):
        place = np.minimum(np.arange(first, first + _TOGETHER), count - 1)
        parts.append(_priced(_at(model, place), _at(layout, place), slopes, slack, cluster))
    if not parts:
        return np.zeros((_TRIED, 0)), np.zeros((len(slack), 0))
    seconds, needed = (np.concatenate(each, axis=1)[:, :count] for each in zip(*parts, strict=True))
    return seconds, needed


def _priced(
    model: TrainedModel, layout: Layout, slopes: Slopes, slack: np.ndarray, cluster: Cluster
) -> tuple[np.ndarray, np.ndarray]:
    seconds, needed = _seconds_and_bytes(cluster.precision, *_single(model, layout, slopes, slack, cluster))
    return np.asarray(seconds), np.asarray(needed)


def _single(
    model: TrainedModel, layout: Layout, slopes: Slopes, slack: np.ndarray, cluster: Cluster
) -> tuple[TrainedModel, Layout, Chip, Slopes, Any]:
    """In single precision: rates are compared to a few digits, and a plan waits for them."""
    chip = Chip.of(cluster.accelerator, cluster.precision)
    return jax.tree.map(np.float32, (model, layout, chip, slopes, slack))


@partial(jax.jit, static_argnums=0)
def _seconds_and_bytes(
    precision: TrainingPrecision, model: TrainedModel, layout: Layout, chip: Chip, slopes: Slopes, slack: Any
) -> tuple[Any, Any]:
    learned = (model.num_experts > 1).astype(jnp.float32)
    memory = training_memory(model, layout, precision)
    needed = (memory.total - memory.activations) + slack * memory.activations
    return seconds_per_token(model, layout, chip, slopes, learned_router=learned), needed


def _often_best(models: TrainedModel, tried: Tried, most: float) -> _Kept:
    """At each size, the layouts that are the fastest that fit most often, and one that is the leanest."""
    place, seconds, needed = tried.place, tried.seconds, tried.needed
    chosen, known = np.zeros((KNOTS, _KEPT), dtype=int), np.zeros((KNOTS, _KEPT), dtype=bool)
    for at in np.unique(place):
        own = np.flatnonzero(place == at)
        fitting = np.where(needed[:, None, own] <= most, seconds[:, own], np.inf)
        best = fitting.argmin(axis=-1)[np.isfinite(fitting).any(axis=-1)]
        names, often = np.unique(best, return_counts=True)
        leanest = needed[:, own].mean(axis=0).argmin()
        order = list(dict.fromkeys([int(leanest), *names[np.argsort(-often, kind="stable")].tolist()]))[:_KEPT]
        chosen[at, : len(order)], known[at, : len(order)] = own[order], True
    layout = tried.layout if len(place) else Layout(*np.ones((len(Layout._fields), 1)))
    return _Kept(_at(models, np.repeat(np.arange(KNOTS), _KEPT)), _at(layout, chosen.ravel()), known)


def _along(kept: _Kept, slopes: Slopes, slack: np.ndarray, cluster: Cluster) -> tuple[np.ndarray, np.ndarray]:
    """ln seconds per token at the knots, and ln of the bytes of the leanest layout over those that may be filled; shape (S, G).

    The second is infinite where no layout divides the model.
    """
    given = _single(kept.model, kept.layout, slopes, slack, cluster)
    seconds, filled = _best_at_knots(cluster.precision, kept.known, np.float32(room(cluster)), *given)
    return np.asarray(seconds, dtype=float), np.asarray(filled, dtype=float)


@partial(jax.jit, static_argnums=0)
def _best_at_knots(precision: TrainingPrecision, known: Any, most: Any, *given: Any) -> tuple[Any, Any]:
    seconds, needed = (jnp.reshape(each, (-1, *known.shape)) for each in _seconds_and_bytes(precision, *given))
    needed = jnp.where(known, needed, jnp.inf)
    least = needed.min(axis=-1)
    fastest = jnp.where(needed <= most, seconds, jnp.inf).min(axis=-1)
    of_leanest = jnp.where(needed <= least[..., None], seconds, jnp.inf).min(axis=-1)
    return jnp.log(jnp.where(jnp.isfinite(fastest), fastest, of_leanest)), jnp.log(least / most)


def _limits(
    ln_sizes: np.ndarray, ln_seconds: np.ndarray, ln_filled: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rates without gaps, and the ends of the sizes that fit: from the first that some layout divides to where memory is full."""
    divided = np.flatnonzero(np.isfinite(ln_filled).all(axis=0))
    draws = len(ln_seconds)
    if not len(divided):
        return np.zeros_like(ln_seconds), np.full(draws, np.inf), np.full(draws, -np.inf)
    first = divided[0]
    nearest = divided[np.abs(divided - np.arange(len(ln_sizes))[:, None]).argmin(axis=1)]
    filled = ln_filled[:, nearest]
    full = filled > 0.0
    full[:, :first] = False
    at = np.where(full.any(axis=1), full.argmax(axis=1), len(ln_sizes))
    after = np.clip(at, first + 1, len(ln_sizes) - 1)
    low, high = (np.take_along_axis(filled, place[:, None], axis=1)[:, 0] for place in (after - 1, after))
    share = np.clip(-low / np.where(high > low, high - low, 1.0), 0.0, 1.0)
    inside = ln_sizes[after - 1] + share * (ln_sizes[after] - ln_sizes[after - 1])
    largest = np.where(at >= len(ln_sizes), np.inf, np.where(at == first, -np.inf, inside))
    smallest = np.full(draws, -np.inf if first == 0 else ln_sizes[first])
    return ln_seconds[:, nearest], smallest, largest
