"""Training: what a budget buys, and how fast and in how much memory a cluster trains an architecture."""

from bayesmoe.costs.training.budget import affordable_flop, gpu_seconds, gpu_usd, seconds_per_train_flop, training_usd
from bayesmoe.costs.training.layout import Layout
from bayesmoe.costs.training.step import TERMS, Chip, Slopes, Software
from bayesmoe.costs.training.trained_model import TrainedModel, trained_family, trained_shapes

__all__ = [
    "TERMS",
    "Chip",
    "Layout",
    "Slopes",
    "Software",
    "TrainedModel",
    "affordable_flop",
    "gpu_seconds",
    "gpu_usd",
    "seconds_per_train_flop",
    "trained_family",
    "trained_shapes",
    "training_usd",
]
