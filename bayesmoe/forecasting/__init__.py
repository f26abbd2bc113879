"""Forecasts of larger runs from smaller ones: forward validation, weights of laws, discrepancy, averages, backtests."""
