"""What a solver finds: each draw's own optima, and how fixed designs do in all draws."""

from __future__ import annotations

from typing import Any, NamedTuple

from bayesmoe.planning.problems import Thresholds
from bayesmoe.planning.quantities import Quantities
from bayesmoe.planning.scenario import Scenario


class Optimum(NamedTuple):
    """The best size of each architecture in each draw; arrays of shape (S, K).

    Attributes
    ----------
    quantities : Quantities
        At that size.
    over_training_ratio, size_ratio : array
        Tokens over loss-optimal tokens, and size over loss-optimal size, on what is spent.
    more : dict of array
        What the problem adds, see :meth:`bayesmoe.planning.problems.Problem.more_quantities`.
    """

    quantities: Quantities
    over_training_ratio: Any
    size_ratio: Any
    more: dict[str, Any]

    def by_name(self) -> dict[str, Any]:
        """All of them."""
        ratios = {"over_training_ratio": self.over_training_ratio, "size_ratio": self.size_ratio}
        return {**self.quantities._asdict(), **ratios, **self.more}


class PerDrawOptima(NamedTuple):
    """Each draw's own optima; arrays of shape (S, K) unless stated otherwise.

    Attributes
    ----------
    optimal : Quantities
        At the lowest loss on the budget.
    thresholds : Thresholds
        Shape (S,).
    usd_per_nat : array
        USD of training that lower the loss by a nat at the margin, at the baseline's lowest loss; shape (S,).
    chosen : list of Optimum
        By problem, the best size.
    feasible : list of array
        By problem, whether there is any.
    inside : array
        Whether the lowest loss on the budget lies inside all sizes considered, and the baseline's does.
    """

    optimal: Quantities
    thresholds: Thresholds
    usd_per_nat: Any
    chosen: list[Optimum]
    feasible: list[Any]
    inside: Any


class FixedDesigns(NamedTuple):
    """Fixed sizes over draws; arrays of shape (K, G).

    Attributes
    ----------
    objective : array
        Mean over the draws in which it is finite.
    p_met : array
        Share of draws in which every constraint is met, the threshold within the scenario's tolerance.
    """

    objective: Any
    p_met: Any


class DesignOutcomes(NamedTuple):
    """Fixed options under every draw; arrays of shape (S, K, M).

    Attributes
    ----------
    objective : array
        The problem's.
    loss, quantization_loss, serving_usd_per_million_tokens, train_usd, train_gpu_hours : array
        Quantities; serving is NaN where nothing serves the model, training infinite where the cluster does not hold it.
    met : array of bool
        Whether every constraint is, the baseline's threshold within the scenario's tolerance.
    """

    objective: Any
    loss: Any
    quantization_loss: Any
    serving_usd_per_million_tokens: Any
    train_usd: Any
    train_gpu_hours: Any
    met: Any


class ConstraintLevels(NamedTuple):
    """Thresholds of each draw, and where they come from.

    Attributes
    ----------
    thresholds : Thresholds
        Arrays of shape (S, 1).
    optimal : array, shape (S, K)
        ln size of the lowest loss on the budget.
    inside : array of bool, shape (S, K)
        Whether that lies inside all sizes considered, and the baseline's does.
    usd_per_nat : array, shape (S, 1)
        See :class:`PerDrawOptima`.
    at_optimum : Quantities
        At the lowest loss on the budget, shape (S, K).
    """

    thresholds: Thresholds
    optimal: Any
    inside: Any
    usd_per_nat: Any
    at_optimum: Quantities

    def loosened(self, scenario: Scenario) -> Thresholds:
        """Thresholds of a fixed design, shape (S, 1, 1): within the tolerance of the baseline's own, and those that are given as they are."""
        limits, tolerance = scenario.limits, scenario.tolerance
        loss, serving = (threshold[..., None] for threshold in self.thresholds)
        return Thresholds(
            loss + (tolerance.loss_nats if limits.loss_nats is None else 0.0),
            serving * (1.0 + (tolerance.cost_share if limits.serving_usd_per_million_tokens is None else 0.0)),
        )
