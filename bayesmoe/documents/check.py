"""The gate of a fit."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from bayesmoe.documents.base import Document, Number, Section

if TYPE_CHECKING:
    from bayesmoe.inference.gate import Gate

Verdict = Literal["PASS", "REVIEW", "FAIL"]
Method = Literal["mcmc", "laplace", "pathfinder"]


class CheckSection(Section):
    """One diagnostic."""

    name: str
    verdict: Verdict
    value: Number = Field(description="worst value; null where it cannot be computed")
    where: str = Field(description="parameter or chain of the worst value")
    rule: str = Field(description="threshold of a PASS")
    recommendation: str = Field(description="what to do; empty for a PASS")


class CheckDocument(Document):
    """The gate of a fit: the verdict is the worst of the checks'."""

    kind: ClassVar[str] = "check"
    version: ClassVar[int] = 1
    command: ClassVar[str] = "bayesmoe check --json"

    verdict: Verdict
    method: Method = Field(description="how the posterior was drawn")
    approximate: bool = Field(description="whether it was not sampled by MCMC")
    checks: tuple[CheckSection, ...]

    @classmethod
    def of(cls, gate: Gate) -> CheckDocument:
        """The document of a gate."""
        checks = tuple(CheckSection(**vars(check)) for check in gate.checks)
        return cls(verdict=gate.verdict, method=gate.method, approximate=gate.method != "mcmc", checks=checks)  # type: ignore[arg-type]
