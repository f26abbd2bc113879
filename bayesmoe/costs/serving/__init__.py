"""Serving models: the roofline, a table of measurements, and Yun's replica over either."""

from bayesmoe.costs.serving.replica import LIMITS, Fleet, Latency, ServingCost, cheapest_replica
from bayesmoe.costs.serving.roofline import Coefficients, Roofline, Traffic
from bayesmoe.costs.serving.served_model import ServedModel, served_family, served_shapes
from bayesmoe.costs.serving.table import TableLatency, read_latency_table

__all__ = [
    "LIMITS",
    "Coefficients",
    "Fleet",
    "Latency",
    "Roofline",
    "ServedModel",
    "ServingCost",
    "TableLatency",
    "Traffic",
    "cheapest_replica",
    "read_latency_table",
    "served_family",
    "served_shapes",
]
