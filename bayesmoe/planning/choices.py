"""What a scenario lets a plan choose."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from bayesmoe.costs.uncertain import Positive
from bayesmoe.specs import About, spec

_YUN = "Yun 2024 (arXiv:2404.02852)"

Counts = Annotated[tuple[Annotated[int, Field(ge=1)], ...], Field(min_length=1)]


STARTING_COUNTS = (1, 4, 8, 16, 32, 64, 128, 256, 512)
"""Expert counts that are compared where a scenario asks for none."""


@spec
class ChoicesSpec:
    """What there is to choose.

    Parameters
    ----------
    num_experts : tuple of int, optional
        Expert counts. Where left out, :data:`STARTING_COUNTS`, doubled further until the best of every draw lies inside or a limit binds
        (:func:`bayesmoe.planning.planner.plan`).
    baseline_num_experts : int
        The count that sets the thresholds.
    top_k : tuple of int, optional
        Experts per token, for laws that read them; the architecture's own where left out.
    granularity : tuple of float, optional
        Granularities, for laws that read them; the architecture's own where left out.
    group : str, optional
        Group of runs whose law is meant, or "new".
    """

    num_experts: Annotated[
        Counts | None,
        About(
            "routed experts of a layer", "1, 4, 8, ... 512, and on while the last is best", 1, 65_536, "give expert counts"
        ),
    ] = None
    baseline_num_experts: Annotated[int, Field(ge=1), About("routed experts of a layer", _YUN)] = 4
    top_k: Annotated[Counts | None, About("experts of a token", "architecture.top_k")] = None
    granularity: Annotated[
        Annotated[tuple[Positive, ...], Field(min_length=1)] | None,
        About("widths of a feed-forward part", "architecture.granularity"),
    ] = None
    group: Annotated[str | None, About("", "all runs")] = None

    @model_validator(mode="after")
    def _base_is_a_choice(self) -> ChoicesSpec:
        if self.baseline_num_experts not in self.counts:
            raise ValueError("baseline_num_experts must be one of num_experts")
        for name in ("num_experts", "top_k", "granularity"):
            values = getattr(self, name) or ()
            if len(set(values)) != len(values):
                raise ValueError(f"{name} must not repeat a {'count' if name == 'num_experts' else 'value'}")
        return self

    @property
    def counts(self) -> tuple[int, ...]:
        """Expert counts, those to start from where none are asked for."""
        return self.num_experts or STARTING_COUNTS
