"""A roadmap: several training budgets in one scenario, each planned by itself."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from bayesmoe.costs.training_budget import BUDGETS
from bayesmoe.costs.uncertain import Positive
from bayesmoe.errors import InputError
from bayesmoe.specs import About, spec

ROADMAP = "roadmap"


@spec
class RoadmapSpec:
    """Budgets of the training runs to come, in place of one.

    Parameters
    ----------
    roadmap : list of float
        Training compute of each run to come, rising: one plan each, and the next run that is worth most to all of them.
    """

    roadmap: Annotated[
        Annotated[tuple[Positive, ...], Field(min_length=2)],
        About("FLOP", "", 1e12, 2e29, "give FLOP of each budget, such as [1e21, 1e22, 1e23]"),
    ]

    def __post_init__(self) -> None:
        """Refuse budgets that do not rise."""
        if any(after <= before for before, after in zip(self.roadmap, self.roadmap[1:], strict=False)):
            raise InputError(
                "must rise", column="training.roadmap", value=list(self.roadmap), hint="sort the budgets, each once"
            )


def budgets(raw: dict[str, Any]) -> RoadmapSpec | None:
    """The roadmap of a scenario as written; None where it has one budget.

    Raises
    ------
    InputError
        It breaks a rule, or the scenario gives a budget besides.
    """
    training = raw.get("training", {})
    if not isinstance(training, dict) or ROADMAP not in training:
        return None
    for key in BUDGETS:
        if key in training:
            raise InputError("bounds the same as roadmap", column=f"training.{key}", hint="keep one of the two")
    try:
        return RoadmapSpec(roadmap=training[ROADMAP])
    except InputError as error:
        column = error.column or ROADMAP
        own = column if column.startswith("training.") else f"training.{column}"
        raise InputError(error.rule, column=own, value=error.value, hint=error.hint) from error


def with_budget(raw: dict[str, Any], flop: float) -> dict[str, Any]:
    """A scenario as written with one of its budgets."""
    training = {key: value for key, value in raw["training"].items() if key != ROADMAP}
    name = f"{raw.get('name', 'unnamed')}, {flop:.3g} FLOP"
    return {**raw, "name": name, "training": {**training, "budget_flop": flop}}
