"""Figures: each takes xarray and returns a matplotlib Figure; statistics are made elsewhere."""

from bayesmoe.plots.best_experts import best_experts
from bayesmoe.plots.calibration import calibration
from bayesmoe.plots.cost_against_loss import cost_against_loss
from bayesmoe.plots.diagnostics import prior_posterior, rank, trace
from bayesmoe.plots.fit_to_runs import fit_to_runs
from bayesmoe.plots.forward_validation import forward_validation
from bayesmoe.plots.frontier import frontier
from bayesmoe.plots.law_weights import law_weights
from bayesmoe.plots.leverage_surface import leverage_surface
from bayesmoe.plots.loss_by_cost import loss_by_cost
from bayesmoe.plots.loss_by_experts import loss_by_experts
from bayesmoe.plots.loss_by_tokens import loss_by_tokens
from bayesmoe.plots.minima_by_budget import minima_by_budget
from bayesmoe.plots.next_run_value import next_run_value
from bayesmoe.plots.over_training import over_training
from bayesmoe.plots.over_training_by_budget import over_training_by_budget
from bayesmoe.plots.prior_predictive import prior_predictive
from bayesmoe.plots.regret_map import regret_map
from bayesmoe.plots.serving_by_size import serving_by_size
from bayesmoe.plots.tornado import tornado
from bayesmoe.plots.trade_offs import trade_offs

__all__ = [
    "best_experts",
    "calibration",
    "cost_against_loss",
    "fit_to_runs",
    "forward_validation",
    "frontier",
    "law_weights",
    "leverage_surface",
    "loss_by_cost",
    "loss_by_experts",
    "loss_by_tokens",
    "minima_by_budget",
    "next_run_value",
    "over_training",
    "over_training_by_budget",
    "prior_posterior",
    "prior_predictive",
    "rank",
    "regret_map",
    "serving_by_size",
    "tornado",
    "trace",
    "trade_offs",
]
