"""What a planning problem is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import jax.numpy as jnp

from bayesmoe.errors import InputError
from bayesmoe.planning.quantities import Quantities
from bayesmoe.planning.scenario import Scenario
from bayesmoe.planning.surface import DesignSurface


class Objective(NamedTuple):
    """A quantity that a problem may minimize.

    Attributes
    ----------
    label : str
        On an axis, with the unit.
    unit : str
        Suffix of keys in its unit.
    least : str
        What the design of least value does among others.
    prefix, suffix, digits : str
        How a difference is written: around the number, and its format; short where there is none.
    includes_training : bool
        Whether the cost of training is in it.
    """

    label: str
    unit: str
    least: str
    prefix: str = ""
    suffix: str = ""
    digits: str = ""
    includes_training: bool = False


OBJECTIVES = {
    "loss": Objective("loss, nats per token", "nats", "has the lowest loss", suffix=" nats", digits=".3f"),
    "serving_usd_per_million_tokens": Objective(
        "serving cost, USD per million output tokens",
        "usd_per_million_tokens",
        "costs least to serve",
        "USD ",
        " per M",
        ".3f",
    ),
    "lifetime_usd": Objective(
        "training and serving cost, USD", "usd", "costs least to train and to serve", "USD ", includes_training=True
    ),
    "lifetime_flop": Objective(
        "training and serving FLOP", "flop", "takes the fewest FLOP to train and to serve", includes_training=True
    ),
}
"""By quantity, one of :data:`bayesmoe.planning.surface.QUANTITIES`."""


class Thresholds(NamedTuple):
    """What a draw must keep to, each beside its candidates and sizes.

    Attributes
    ----------
    loss : array
        Highest loss, nats per token: the scenario's, or the baseline's lowest on the budget.
    serving_usd_per_million_tokens : array
        Highest cost of serving: the scenario's, or that of the baseline at its lowest loss.
    """

    loss: Any
    serving_usd_per_million_tokens: Any


class Bound(NamedTuple):
    """What a problem holds a quantity to, elementwise.

    Attributes
    ----------
    key : str
        Key of the scenario that sets the bound, or name of one of :class:`Thresholds`.
    value, bound : array
        The quantity, and what it is held to.
    at_least : bool
        Whether the bound is the least allowed, and not the most.
    """

    key: str
    value: Any
    bound: Any
    at_least: bool = False

    @property
    def kept(self) -> Any:
        """Whether it is kept; NaN keeps none."""
        return self.value >= self.bound if self.at_least else self.value <= self.bound


@dataclass(frozen=True)
class Problem:
    """A planning problem: minimize one quantity over architectures and sizes, with tokens that follow from the size.

    A subclass sets ``title``, ``label``, ``source`` and ``objective``, and overrides what it does otherwise than "spend the budget, bounded
    by nothing". One of your own is named ``package.module:MyProblem`` in a scenario.

    Attributes
    ----------
    name : str
        In a scenario and in a plan's ``problem`` coordinate.
    title, label : str
        As a heading, and in a legend.
    source : str
        Paper and equation.
    objective : str
        Quantity that is minimized, of :data:`OBJECTIVES`.
    marker, color : str
        In figures, as matplotlib reads them.
    threshold : str or None
        Quantity that is bounded in each draw, of :class:`Thresholds`.
    spends_budget : bool
        Whether the training budget is spent; otherwise as many tokens as reach the loss threshold.
    other_budgets : bool
        Whether other training budgets are looked at.
    needs_serving : bool
        Whether some replica must serve the model though neither objective nor threshold is what serving costs.
    has_local_minima : bool
        Whether a serving cost is weighed against another cost: it jumps wherever a request less fits, and each jump makes a local minimum.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    label: ClassVar[str]
    source: ClassVar[str]
    objective: ClassVar[str] = "loss"
    marker: ClassVar[str] = "H"
    color: ClassVar[str] = "#7f3c8d"
    threshold: ClassVar[str | None] = None
    spends_budget: ClassVar[bool] = True
    other_budgets: ClassVar[bool] = False
    needs_serving: ClassVar[bool] = False
    has_local_minima: ClassVar[bool] = False

    def __init_subclass__(cls) -> None:
        """Name a class that does not name itself by where it is, also one that extends a shipped problem."""
        if "name" not in vars(cls):
            cls.name = f"{cls.__module__}:{cls.__qualname__}"

    def goal(self, scenario: Scenario) -> str:
        """What a design must be, after "is"."""
        return "within its limits"

    def require(self, scenario: Scenario) -> None:
        """Raise an InputError where the scenario lacks what the problem reads."""

    def sizes(self, here: DesignSurface) -> Any:
        """ln sizes, shape (S, K), where the problem fixes them; None where they are free."""
        return None

    def tokens(self, here: DesignSurface, ln_size: Any, thresholds: Thresholds) -> Any:
        """Training tokens at a size."""
        return here.tokens(ln_size) if self.spends_budget else here.tokens_of_loss(ln_size, thresholds.loss)

    def bound(self, here: DesignSurface, quantities: Quantities, thresholds: Thresholds) -> Bound | None:
        """The bound that is the problem's own; None where it has none."""
        if self.threshold is None:
            return None
        return Bound(self.threshold, getattr(quantities, self.threshold), getattr(thresholds, self.threshold))

    def met(self, here: DesignSurface, quantities: Quantities, thresholds: Thresholds) -> Any:
        """Whether constraints hold, elementwise."""
        own = self.bound(here, quantities, thresholds)
        kept = True if own is None else own.kept
        return kept & jnp.isfinite(quantities.serving_usd_per_million_tokens) if self.needs_serving else kept

    def more_quantities(self, here: DesignSurface, quantities: Quantities) -> dict[str, Any]:
        """What else is to be known of the optimum, each of shape (S, K), by a name of :data:`bayesmoe.planning.planner.UNITS`."""
        return {}

    def _need(self, value: Any, column: str, hint: str) -> None:
        if value is None:
            raise InputError(f"is needed by the problem {self.name!r}", column=column, hint=hint)


def as_good_as_baseline(scenario: Scenario) -> str:
    """Goal of a problem with a threshold of loss."""
    given = scenario.limits.loss_nats
    return f"as good as {baseline(scenario)}" if given is None else f"at or below {given:g} nats per token"


def baseline(scenario: Scenario) -> str:
    """The model that sets the thresholds, in words."""
    count = scenario.choices.baseline_num_experts
    return f"the loss-optimal {count}-expert model" if count > 1 else "the loss-optimal dense model"
