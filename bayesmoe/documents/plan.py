"""A plan and its decisions."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, ClassVar

import xarray as xr
from pydantic import Field

from bayesmoe.documents.base import Document, Experts, Number, Probability
from bayesmoe.documents.check import Method, Verdict
from bayesmoe.documents.problem import ProblemSection, WithoutLaw
from bayesmoe.units import BAND

if TYPE_CHECKING:
    from bayesmoe.decisions.decision import Decisions


class PlanDocument(Document):
    """A plan: its question, its fit, and the decision of each problem."""

    kind: ClassVar[str] = "plan"
    version: ClassVar[int] = 3
    command: ClassVar[str] = "bayesmoe plan --json"

    bayesmoe_version: str
    scenario_name: str
    budget_flop: Number = Field(description="training budget; null where another is given")
    budget_usd: Number
    budget_gpu_hours: Number = Field(None, description="training budget, where it is in hours of one GPU")
    cluster_gpus: Experts | None = Field(None, description="GPUs of the training cluster, where the scenario states one")
    days: Number = Field(None, description="days that the run may take: the budget where no other is given, else a limit")
    baseline_num_experts: Experts = Field(description="count whose loss optimum sets the thresholds")
    law: str
    gate: Verdict = Field(description="verdict of the gate on the fit")
    method: Method = Field(description="how the posterior was drawn")
    approximate: bool = Field(description="whether it was not sampled by MCMC")
    data_origin: str
    data_sha256: str
    data_simulated: bool
    draws: Experts
    band: tuple[Probability, Probability] = Field(description="quantiles of the band")
    laws: dict[str, Probability] = Field(description="share of the draws by law")
    without_each_law: dict[str, dict[str, WithoutLaw]] = Field(description="by law and problem; empty for one law")
    problems: dict[str, ProblemSection]

    @classmethod
    def of(cls, plan: xr.Dataset, decisions: Decisions) -> PlanDocument:
        """The document of a plan and its decisions."""
        from bayesmoe.planning.store import PlanInfo

        info, laws = PlanInfo.read(plan), list(dict.fromkeys(plan["law"].values.tolist()))
        scenario = info.scenario
        without: dict[str, dict[str, WithoutLaw]] = {}
        for decision in decisions:
            for law, other in decision.advice.without_law.items():
                without.setdefault(law, {})[decision.problem.name] = WithoutLaw.of(other)
        return cls(
            bayesmoe_version=info.bayesmoe_version,
            scenario_name=scenario.name,
            budget_flop=scenario.training.budget_flop,
            budget_usd=scenario.training.budget_usd,
            **{
                name: value
                for name in ("budget_gpu_hours", "cluster_gpus", "days")
                if (value := getattr(scenario.training, name)) is not None
            },
            baseline_num_experts=scenario.choices.baseline_num_experts,
            law=info.law,
            gate=info.gate,  # type: ignore[arg-type]
            method=info.method,  # type: ignore[arg-type]
            approximate=info.method != "mcmc",
            data_origin=info.data_origin,
            data_sha256=info.data_sha256,
            data_simulated=info.data_simulated,
            draws=plan.sizes["sample"],
            band=BAND,
            laws={str(law): float((plan["law"] == law).mean()) for law in laws},
            without_each_law=without,
            problems={decision.problem.name: ProblemSection.of(decision) for decision in decisions},
        )


class PlansDocument(Document):
    """Plans of several scenarios."""

    kind: ClassVar[str] = "plans"
    version: ClassVar[int] = 2
    command: ClassVar[str] = "bayesmoe plan --json (several scenarios)"

    plans: tuple[PlanDocument, ...]

    @classmethod
    def of(cls, plans: Iterable[PlanDocument]) -> PlansDocument:
        """The document of several."""
        return cls(plans=tuple(plans))
