"""Serving models: one file each."""

from bayesmoe.costs.serving.yun import ServingCost, cheapest_replica

__all__ = ["ServingCost", "cheapest_replica"]
