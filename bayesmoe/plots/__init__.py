"""Figures: each takes xarray and returns a matplotlib Figure; statistics are made elsewhere."""

from bayesmoe.plots.best_experts import best_experts
from bayesmoe.plots.cost_against_loss import cost_against_loss
from bayesmoe.plots.diagnostics import prior_posterior, rank, trace
from bayesmoe.plots.fit_to_runs import fit_to_runs
from bayesmoe.plots.forward_validation import forward_validation
from bayesmoe.plots.loss_by_experts import loss_by_experts
from bayesmoe.plots.next_run_value import next_run_value
from bayesmoe.plots.over_training import over_training
from bayesmoe.plots.prior_predictive import prior_predictive
from bayesmoe.plots.regret_map import regret_map
from bayesmoe.plots.tornado import tornado

__all__ = [
    "best_experts",
    "cost_against_loss",
    "fit_to_runs",
    "forward_validation",
    "loss_by_experts",
    "next_run_value",
    "over_training",
    "prior_posterior",
    "prior_predictive",
    "rank",
    "regret_map",
    "tornado",
    "trace",
]
