"""The gate of a fit as a noun: its checks, their verdicts and recommendations. Computed in ``bayesmoe.criticism.gate``."""

from __future__ import annotations

import html
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bayesmoe.errors import InputError, printable

Verdict = Literal["PASS", "REVIEW", "FAIL"]
VERDICTS: tuple[Verdict, ...] = ("PASS", "REVIEW", "FAIL")


@dataclass(frozen=True)
class Check:
    """One diagnostic: its worst value, where it was found, the rule, the verdict and what to do."""

    name: str
    verdict: Verdict
    value: float
    where: str
    rule: str
    recommendation: str

    @classmethod
    def of(cls, name: str, value: float, where: str, rule: str, passes: bool, reviews: bool, hint: str) -> Check:
        """A diagnostic that passes, or goes to review, or fails; the hint is for one that does not pass."""
        verdict: Verdict = "PASS" if passes else "REVIEW" if reviews else "FAIL"
        return cls(name, verdict, value, where, rule, "" if passes else hint)

    def __str__(self) -> str:
        hint = f"; {self.recommendation}" if self.recommendation else ""
        return f"{self.verdict:<6} {self.name:<12} {self.value:>10.4g} at {printable(self.where)} ({self.rule}){hint}"


@dataclass(frozen=True)
class Forward:
    """How forecasts of larger runs from smaller ones went, over all splits of a table.

    Attributes
    ----------
    coverage, difference_coverage : dict of float
        By level, such as "0.9": the share of runs, and of differences between neighboring expert counts, inside that central band. Empty
        where there were none.
    below : float or None
        Mean probability integral transform of the runs: 0.5 without bias, near 0 where forecasts lie above what came.
    """

    coverage: dict[str, float]
    difference_coverage: dict[str, float]
    below: float | None


@dataclass(frozen=True)
class Gate:
    """All checks of a fit, and how it was drawn; the verdict is the worst of the checks'.

    Examples
    --------
    >>> gate = bm.check(dt)
    >>> [one.name for one in gate.checks if one.verdict == "FAIL"]
    []
    """

    checks: tuple[Check, ...]
    method: str = "mcmc"

    @property
    def verdict(self) -> Verdict:
        """PASS, REVIEW or FAIL."""
        return VERDICTS[max(VERDICTS.index(check.verdict) for check in self.checks)]

    @property
    def approximate(self) -> bool:
        """Whether the draws are those of an approximation."""
        return self.method != "mcmc"

    def refuse_failure(self, *, allow_failed: bool, file: str | Path | None = None) -> None:
        """Refuse to go on with a failed fit.

        Raises
        ------
        InputError
            The verdict is FAIL and ``allow_failed`` is not set.
        """
        if self.verdict == "FAIL" and not allow_failed:
            failed = next(check for check in self.checks if check.verdict == "FAIL")
            raise InputError(
                f"failed its gate ({failed.name} {failed.value:.4g} at {failed.where}, must be {failed.rule})",
                file=file,
                hint=f"{failed.recommendation}; or go on all the same with allow_failed=True (--despite-fail)",
            )

    def __str__(self) -> str:
        approximate = f", approximate ({self.method})" if self.approximate else ""
        return "\n".join([*map(str, self.checks), f"gate: {self.verdict}{approximate}"])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        """Render as a table in a notebook."""
        rows = "".join(
            "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in cells) + "</tr>"
            for cells in (
                (c.verdict, c.name, f"{c.value:.4g}", printable(c.where), c.rule, c.recommendation) for c in self.checks
            )
        )
        head = "".join(f"<th>{name}</th>" for name in ("verdict", "check", "worst value", "where", "rule", "what to do"))
        caption = f"gate: {self.verdict}" + (f", approximate ({html.escape(self.method)})" if self.approximate else "")
        return f"<table><caption>{caption}</caption><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
