"""Serving models: the roofline, a table of measurements, and Yun's replica over either."""

from bayesmoe.costs.serving.roofline import Coefficients, Roofline, Traffic
from bayesmoe.costs.serving.served import Served, served_family, served_shapes
from bayesmoe.costs.serving.table import TableLatency, read_latency_table
from bayesmoe.costs.serving.yun import LIMITS, Fleet, Latency, ServingCost, cheapest_replica

__all__ = [
    "LIMITS",
    "Coefficients",
    "Fleet",
    "Latency",
    "Roofline",
    "Served",
    "ServingCost",
    "TableLatency",
    "Traffic",
    "cheapest_replica",
    "read_latency_table",
    "served_family",
    "served_shapes",
]
