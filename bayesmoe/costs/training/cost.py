"""What training an architecture on a cluster costs: the fastest layout that fits, its throughput and memory, under every draw."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from bayesmoe.architecture import Shape
from bayesmoe.costs.hardware import accelerator_named
from bayesmoe.costs.training.calibration import drawn_training, read_training_calibration, training_slopes
from bayesmoe.costs.training.layout import Layout
from bayesmoe.costs.training.layouts import Cluster, layouts, room
from bayesmoe.costs.training.memory import MEMORY_SD, training_memory
from bayesmoe.costs.training.step import GROUPS, Chip, Slopes, seconds_by_term, step_terms
from bayesmoe.costs.training.throughput import fastest, seconds_per_token
from bayesmoe.costs.training.trained_model import TrainedModel, trained_shapes
from bayesmoe.costs.training_budget import Training
from bayesmoe.units import HOURS_PER_DAY, SECONDS_PER_HOUR

TRAINING_UNITS = {
    "train_tokens_per_s_per_gpu": "tokens/s",
    "train_mfu": "of the peak of the matrices' precision",
    "train_step_s": "s",
    "train_memory_bytes": "bytes of a GPU",
    "train_gpu_hours": "GPU-hours of the tokens that the budget buys",
    "train_days": "days of the cluster for them, of which it trains the available share",
}
"""What :func:`cost_on_cluster` says of an architecture, and in which unit."""

STEP_PARTS = (*GROUPS, "uneven_routing", "recompute", "bubble")
"""What a step's time is made of."""


class TrainingCost(NamedTuple):
    """Draws of training K architectures on a cluster; arrays of shape (S, K) unless said otherwise.

    Attributes
    ----------
    seconds_per_token : array
        Of one GPU; infinite where nothing fits.
    fits : array
        Whether some layout does.
    memory_bytes : array
        Of one GPU in the layout chosen, or, where none fits, in the leanest.
    mfu : array
        Model FLOP over the peak of the matrices' precision.
    step_s : array
        Seconds of a step.
    layout : list of str
        The commonest choice, shape (K,).
    part_share : array
        Mean share of the step in :data:`STEP_PARTS`, shape (K, part).
    reason : list of str
        Why nothing fits, shape (K,); empty where something does.
    """

    seconds_per_token: np.ndarray
    fits: np.ndarray
    memory_bytes: np.ndarray
    mfu: np.ndarray
    step_s: np.ndarray
    layout: list[str]
    part_share: np.ndarray
    reason: list[str]


def cluster_of(spec: Training) -> Cluster | None:
    """The cluster that a scenario states, or None."""
    if spec.cluster_gpus is None:
        return None
    chip = accelerator_named(spec.accelerator)
    return Cluster(chip, spec.precision, spec.cluster_gpus, spec.step_tokens, spec.sequence_tokens, spec.memory_fraction)


def training_cost(
    shapes: Sequence[Shape], spec: Training, cluster: Cluster, draws: int, rng: np.random.Generator
) -> TrainingCost:
    """Cost of training on a cluster; in each draw the fastest layout that fits is chosen.

    Raises
    ------
    InputError
        The calibration cannot be read.
    """
    calibration = read_training_calibration(spec.calibration)
    drawn = drawn_training(calibration, draws, rng, accelerator=spec.accelerator, precision=spec.precision)
    slopes = training_slopes(drawn, np.array([shape.num_moe_layers > 0 for shape in shapes]), rng)
    slack = np.exp(MEMORY_SD * rng.standard_normal((draws, 1)))
    models = [trained_shapes([shape], cluster.sequence_tokens) for shape in shapes]
    parts = [_one(model, cluster, _of_model(slopes, i), slack) for i, model in enumerate(models)]
    seconds, memory = (np.stack([part[name] for part in parts], axis=1) for name in ("seconds", "memory"))
    flop = np.array([float(model.flop[0]) for model in models])
    chip = Chip.of(cluster.accelerator, cluster.precision)
    step_tokens = np.array([part["step_tokens"] for part in parts])
    return TrainingCost(
        seconds_per_token=seconds,
        fits=np.isfinite(seconds),
        memory_bytes=memory,
        mfu=flop / (seconds * chip.matmul_flop_per_s),
        step_s=seconds * step_tokens / cluster.num_gpus,
        layout=[part["layout"] for part in parts],
        part_share=np.stack([part["share"] for part in parts]),
        reason=[part["reason"] for part in parts],
    )


def cost_on_cluster(shapes: Sequence[Shape], spec: Training, found: TrainingCost, tokens: np.ndarray) -> xr.Dataset:
    """Training on so many tokens on the scenario's cluster, under every draw of :func:`training_cost`.

    Variables of :data:`TRAINING_UNITS` over (draw, architecture) are NaN in draws where nothing fits; ``train_memory_bytes`` then is what the leanest
    layout needs. With ``train_fits``, ``train_layout``, ``train_reason`` and ``train_part_share``.
    """
    seconds = np.where(found.fits, found.seconds_per_token, np.nan)
    gpu_hours = tokens * seconds / SECONDS_PER_HOUR
    drawn = {
        "train_tokens_per_s_per_gpu": 1.0 / seconds,
        "train_mfu": np.where(found.fits, found.mfu, np.nan),
        "train_step_s": np.where(found.fits, found.step_s, np.nan),
        "train_memory_bytes": found.memory_bytes,
        "train_gpu_hours": gpu_hours,
        "train_days": gpu_hours / ((spec.cluster_gpus or np.nan) * HOURS_PER_DAY * spec.training_share),
    }
    dims = ("draw", "architecture")
    return xr.Dataset(
        {
            **{name: (dims, value, {"units": TRAINING_UNITS[name]}) for name, value in drawn.items()},
            "train_fits": (dims, found.fits),
            "train_layout": ("architecture", found.layout),
            "train_reason": ("architecture", found.reason),
            "train_part_share": (("architecture", "train_part"), found.part_share),
        },
        coords={"architecture": [shape.name for shape in shapes], "train_part": list(STEP_PARTS)},
    )


def _of_model(slopes: Slopes, i: int) -> Slopes:
    return slopes._replace(unevenness=slopes.unevenness[:, i : i + 1], slowdown=slopes.slowdown[:, i : i + 1])


def _one(model: TrainedModel, cluster: Cluster, slopes: Slopes, slack: np.ndarray) -> dict[str, Any]:
    candidates = layouts(model, cluster)
    draws = len(slack)
    nothing = {
        "seconds": np.full(draws, np.inf),
        "memory": np.full(draws, np.nan),
        "step_tokens": cluster.step_tokens,
        "layout": "",
        "share": np.full(len(STEP_PARTS), np.nan),
    }
    if not len(candidates.num_gpus):
        return {**nothing, "reason": indivisible(cluster)}
    memory = training_memory(model, candidates, cluster.precision)
    fixed = np.asarray(memory.total - memory.activations)
    needed = fixed + slack * np.asarray(memory.activations)
    chip = Chip.of(cluster.accelerator, cluster.precision)
    learned = float(np.ravel(model.num_experts)[0] > 1)
    seconds = np.asarray(seconds_per_token(model, candidates, chip, slopes, learned_router=learned))
    best, which = fastest(seconds, needed <= room(cluster))
    if not np.isfinite(best).any():
        least = int(needed.mean(axis=0).argmin())
        return {**nothing, "memory": needed[:, least], "reason": too_large(candidates, least, needed, cluster)}
    chosen = np.where(which >= 0, which, np.bincount(which[which >= 0]).argmax())
    common = int(np.bincount(which[which >= 0]).argmax())
    layout = Layout(*(leaf[common : common + 1] for leaf in candidates))
    split = seconds_by_term(step_terms(model, layout, chip), layout, slopes, learned_router=learned)
    stacked = np.stack([np.broadcast_to(np.asarray(split[part]), (draws, 1))[:, 0] for part in STEP_PARTS], axis=1)
    return {
        "seconds": best,
        "memory": needed[np.arange(draws), chosen],
        "step_tokens": float(layout.step_tokens[0]),
        "layout": described(layout),
        "share": (stacked / stacked.sum(axis=1, keepdims=True)).mean(axis=0),
        "reason": "",
    }


def indivisible(cluster: Cluster) -> str:
    """Why no layout divides a model, and what to do."""
    return (
        f"no layout divides it: a step of {cluster.step_tokens:.3g} tokens gives {cluster.num_gpus:,} GPUs less than a sequence each; "
        "raise training.step_tokens or take fewer GPUs"
    )


def too_large(candidates: Layout, least: int, needed: np.ndarray, cluster: Cluster) -> str:
    """Why the leanest of some layouts does not fit, and what to do."""
    leanest = Layout(*(leaf[least : least + 1] for leaf in candidates))
    return (
        f"the leanest layout ({described(leanest)}) needs {np.median(needed[:, least]) / 1e9:.0f} GB a GPU and {room(cluster) / 1e9:.0f} may be "
        "filled; take more GPUs, or some with more memory"
    )


def described(layout: Layout) -> str:
    """A layout of one entry in words: ``TP 2 x PP 8 x EP 16, micro-batch 1, full recomputation``."""
    value = {name: float(np.ravel(leaf)[0]) for name, leaf in layout._asdict().items()}
    degrees = {"TP": "tensor", "PP": "pipeline", "VP": "virtual", "CP": "context", "EP": "expert"}
    said = [f"{short} {value[name]:.0f}" for short, name in degrees.items() if value[name] > 1]
    said = [" x ".join(said) or "data parallel only", f"micro-batch {value['micro_batch']:.0f}"]
    said += ["weights sharded"] if value["sharded"] else []
    said += ["full recomputation"] if value["recompute"] else ["partial recomputation"] if value["recompute_some"] else []
    return ", ".join(said)
