"""Serving models: the roofline, a table of measurements, and Yun's replica over either."""

from bayesmoe.costs.serving.latency import Latency
from bayesmoe.costs.serving.needs import ReplicaNeeds, needs_of_replica
from bayesmoe.costs.serving.replica import (
    LIMITS,
    Fleet,
    ServingCost,
    cheapest_replica,
)
from bayesmoe.costs.serving.roofline import Coefficients, Roofline
from bayesmoe.costs.serving.served_model import ServedModel, served_family, served_shapes
from bayesmoe.costs.serving.table import TableLatency, read_latency_table
from bayesmoe.costs.serving.traffic import Traffic

__all__ = [
    "LIMITS",
    "Coefficients",
    "Fleet",
    "Latency",
    "ReplicaNeeds",
    "Roofline",
    "ServedModel",
    "ServingCost",
    "TableLatency",
    "Traffic",
    "cheapest_replica",
    "needs_of_replica",
    "read_latency_table",
    "served_family",
    "served_shapes",
]
