"""Layouts that an engine would try on a cluster, and which of them fit."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np

from bayesmoe.costs.hardware import Accelerator
from bayesmoe.costs.precisions import TrainingPrecision
from bayesmoe.costs.training.layout import Layout
from bayesmoe.costs.training.trained_model import TrainedModel

_MOST_TENSOR, _MOST_PIPELINE, _MOST_CONTEXT = 8, 32, 8
_MICRO_BATCHES = (1, 2, 4, 8, 16)
_VIRTUAL = (1, 4)
_LONG = 8192
"""Tokens beyond which sequences are worth splitting."""

_EVEN = 0.9
"""Share of a step's sequences that must be left when each replica makes the same whole number of passes."""

_RECOMPUTE = ((0.0, 0.0), (0.0, 1.0), (1.0, 0.0))


@dataclass(frozen=True)
class Cluster:
    """What a model is trained on.

    Attributes
    ----------
    accelerator : Accelerator
        Its accelerators.
    precision : str
        Of the matrices.
    num_gpus : int
        How many there are.
    step_tokens, sequence_tokens : float
        Tokens of a step and of a sequence.
    memory_fraction : float
        Share of memory that may be filled.
    """

    accelerator: Accelerator
    precision: TrainingPrecision
    num_gpus: int
    step_tokens: float
    sequence_tokens: float
    memory_fraction: float = 0.92


def layouts(model: TrainedModel, cluster: Cluster) -> Layout:
    """Layouts of one model that divide it and the cluster; leaves of shape (layout,), maybe none.

    Degrees are powers of two: TP within a node and a divisor of the width, PP of the layers, EP of the experts, and CP where sequences are
    long; ``TP PP CP`` and ``PP EP`` divide the GPUs, and at least nine tenths of a step's sequences are
    shared out evenly to replicas and their passes.

    Parameters
    ----------
    model : TrainedModel
        One model: leaves of one number each.
    cluster : Cluster
        The cluster.
    """
    gpus, sequences = cluster.num_gpus, max(1, round(cluster.step_tokens / cluster.sequence_tokens))
    experts, layers, width = (round(float(np.ravel(one)[0])) for one in (model.num_experts, model.num_layers, model.d_model))
    node = min(cluster.accelerator.node_gpus, _MOST_TENSOR)
    longest = _MOST_CONTEXT if cluster.sequence_tokens > _LONG else 1
    found = []
    for tensor, pipeline, context in product(_powers(node), _powers(min(_MOST_PIPELINE, layers)), _powers(longest)):
        group = tensor * pipeline * context
        if gpus % group or width % tensor:
            continue
        replicas = gpus // group
        for expert, micro in product(_powers(experts), _MICRO_BATCHES):
            passes = sequences // (replicas * micro)
            batch = passes * replicas * micro
            if (gpus // pipeline) % expert or experts % expert or batch < _EVEN * sequences:
                continue
            for virtual in _VIRTUAL:
                # Interleaving needs as many passes as stages, and layers to deal out.
                if virtual > 1 and (pipeline == 1 or layers < pipeline * virtual or passes < pipeline):
                    continue
                shards = (0.0, 1.0) if pipeline == 1 and replicas > 1 else (0.0,)
                found += [
                    (
                        gpus,
                        batch,
                        micro,
                        cluster.sequence_tokens,
                        tensor,
                        pipeline,
                        virtual,
                        context,
                        expert,
                        1.0,
                        sharded,
                        *again,
                    )
                    for sharded, again in product(shards, _RECOMPUTE)
                ]
    return Layout(*np.asarray(found, dtype=float).reshape(-1, len(Layout._fields)).T)


def room(cluster: Cluster) -> float:
    """Bytes that may be filled on one accelerator."""
    return cluster.memory_fraction * cluster.accelerator.memory_bytes


def _powers(most: int) -> list[int]:
    """Powers of two up to a number."""
    return [1 << i for i in range(max(1, int(most)).bit_length())]
