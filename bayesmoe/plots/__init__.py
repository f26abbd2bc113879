"""Figures of a fit, of a plan, and of what other verbs return: each takes xarray and returns a matplotlib Figure.

The figures of a plan and of a fit make their statistics themselves, or draw those that they are given.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bayesmoe.plots._best_experts import best_experts as best_experts
    from bayesmoe.plots._calibration import calibration as calibration
    from bayesmoe.plots._diagnostics import prior_posterior as prior_posterior
    from bayesmoe.plots._diagnostics import rank as rank
    from bayesmoe.plots._diagnostics import trace as trace
    from bayesmoe.plots._differences import differences as differences
    from bayesmoe.plots._fit_to_runs import fit_to_runs as fit_to_runs
    from bayesmoe.plots._forward_validation import forward_validation as forward_validation
    from bayesmoe.plots._frontier import frontier as frontier
    from bayesmoe.plots._law_weights import law_weights as law_weights
    from bayesmoe.plots._leverage_surface import leverage_surface as leverage_surface
    from bayesmoe.plots._loss_by_compute import loss_by_compute as loss_by_compute
    from bayesmoe.plots._loss_by_experts import loss_by_experts as loss_by_experts
    from bayesmoe.plots._loss_by_tokens import loss_by_tokens as loss_by_tokens
    from bayesmoe.plots._mfu_by_experts import mfu_by_experts as mfu_by_experts
    from bayesmoe.plots._minima_by_budget import minima_by_budget as minima_by_budget
    from bayesmoe.plots._next_run_value import next_run_value as next_run_value
    from bayesmoe.plots._over_training import over_training as over_training
    from bayesmoe.plots._over_training_by_budget import over_training_by_budget as over_training_by_budget
    from bayesmoe.plots._prior_predictive import prior_predictive as prior_predictive
    from bayesmoe.plots._regret_map import regret_map as regret_map
    from bayesmoe.plots._speedup import speedup as speedup
    from bayesmoe.plots._tornado import tornado as tornado
    from bayesmoe.plots._total_cost import total_cost as total_cost

__all__ = [
    "best_experts",
    "calibration",
    "differences",
    "fit_to_runs",
    "forward_validation",
    "frontier",
    "law_weights",
    "leverage_surface",
    "loss_by_compute",
    "loss_by_experts",
    "loss_by_tokens",
    "mfu_by_experts",
    "minima_by_budget",
    "next_run_value",
    "over_training",
    "over_training_by_budget",
    "prior_posterior",
    "prior_predictive",
    "rank",
    "regret_map",
    "speedup",
    "tornado",
    "total_cost",
    "trace",
]

_HOME: dict[str, str] = dict.fromkeys(("prior_posterior", "rank", "trace"), "_diagnostics")
"""Module of a plot where it is not the plot's own name with an underscore."""


def __getattr__(name: str) -> Any:
    """Load a plot when it is first used, so that a notebook that draws nothing waits for no plotting library."""
    if name not in __all__:
        raise AttributeError(f"module 'bayesmoe.plots' has no attribute {name!r}")
    plot = getattr(importlib.import_module(f"bayesmoe.plots.{_HOME.get(name, f'_{name}')}"), name)
    globals()[name] = plot
    return plot


def __dir__() -> list[str]:
    """List the plots."""
    return sorted(__all__)
