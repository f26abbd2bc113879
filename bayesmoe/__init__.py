"""Bayesian scaling laws for Mixture-of-Experts models, from a table of runs to a risk-aware plan."""

__version__ = "0.1.0"
