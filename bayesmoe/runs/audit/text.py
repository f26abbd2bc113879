"""The check of a table of runs as text for a terminal."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from typing import Any

from bayesmoe.errors import printable
from bayesmoe.runs.audit.best_learning_rate import Best, lowest_of
from bayesmoe.runs.audit.inspect import Inspection
from bayesmoe.runs.finding import Finding
from bayesmoe.terminal import line_width

_NAMED, _COUNTED = 6, 50
"""Rows that are named, and rows beyond which they are counted and only the first is named."""

_MOST_OF_A_KIND, _MOST_LEFT_OUT = 5, 10
"""Findings of a kind that are printed, and runs left out that take a line each."""

_HEADS = {"wrong": "wrong: these rows cannot stand", "look": "look: these may be right"}


def inspection_text(inspection: Inspection) -> str:
    """What was recognized, derived and found, in lines that fit the terminal."""
    wrong = len(inspection.wrong_rows)
    left_out = f", {wrong} cannot stand" if wrong else ""
    parts = [f"{printable(inspection.origin)}: {len(inspection.run_ids)} runs ({inspection.tool}){left_out}"]
    parts += [_wrapped(note) for note in inspection.notes]
    renamed = [f"{ours} = {yours}" for ours, yours in inspection.names.items() if ours != yours]
    as_they_are = [ours for ours, yours in inspection.names.items() if ours == yours]
    parts += _listed("recognized", [*as_they_are, *renamed])
    parts += _listed("not recognized, and left alone", inspection.unread)
    parts += _sentences("derived", inspection.derived)
    parts += _sentences("could not be derived", inspection.missing)
    if inspection.best is not None:
        parts += [_wrapped(_best(inspection.best), indent=0)]
    for severity, head in _HEADS.items():
        found = [finding for finding in inspection.findings if finding.severity == severity]
        parts += [head, *map(_wrapped, _summed_up(found, inspection.run_ids))] if found else []
    if not inspection.findings:
        parts.append("nothing looks wrong")
    return "\n".join(parts)


def left_out_text(inspection: Inspection) -> list[str]:
    """One line for each run that was left out, with the first reason; one for each reason where they are many."""
    reasons: dict[int, str] = {}
    for finding in inspection.findings:
        if finding.severity == "wrong":
            for row in finding.rows:
                reasons.setdefault(row, f"{finding.column}: {finding.rule}" if finding.column else finding.rule)
    run_ids = inspection.run_ids
    if len(reasons) <= _MOST_LEFT_OUT:
        return [printable(f"left out: row {row}, {run_ids[row]} ({reasons[row]})") for row in inspection.wrong_rows]
    rows: dict[str, list[int]] = {}
    for row in inspection.wrong_rows:
        rows.setdefault(reasons[row], []).append(row)
    which = {
        reason: f", first row {_named(of[0], run_ids)}" if len(of) > _COUNTED else _rows(of, run_ids)
        for reason, of in rows.items()
    }
    return [printable(f"left out: {len(of)} runs{which[reason]} ({reason})") for reason, of in rows.items()]


def _summed_up(findings: Sequence[Finding], run_ids: dict[int, str]) -> list[str]:
    """One sentence a finding, the first of a kind where these are many."""
    said, kinds = list[str](), dict[str, list[Finding]]()
    for finding in findings:
        kinds.setdefault(finding.kind, []).append(finding)
        if len(kinds[finding.kind]) <= _MOST_OF_A_KIND:
            said.append(_finding(finding, run_ids))
    for kind, found in kinds.items():
        rest = found[_MOST_OF_A_KIND:]
        if rest:
            rows = sorted({row for finding in rest for row in finding.rows})
            said.append(f"{kind}: {len(rest)} more like these{_rows(rows, run_ids)}; --json lists all.")
    return said


def _finding(finding: Finding, run_ids: dict[int, str]) -> str:
    where = f"{finding.column}: " if finding.column else ""
    value = "" if finding.value is None else f", found {_value(finding.value)}"
    value += " first" if value and len(finding.rows) > 1 else ""
    return f"{finding.kind}{_rows(finding.rows, run_ids)}: {where}{finding.rule}{value}; {finding.hint}."


def _rows(rows: Sequence[int], run_ids: dict[int, str]) -> str:
    if not rows:
        return ""
    if len(rows) > _COUNTED:
        return f" in {len(rows)} rows, first {_named(rows[0], run_ids)}"
    named = [_named(row, run_ids) for row in rows[:_NAMED]]
    more = f" and {len(rows) - _NAMED} more" if len(rows) > _NAMED else ""
    return f" in row{'s' if len(rows) > 1 else ''} {', '.join(named)}{more}"


def _named(row: int, run_ids: dict[int, str]) -> str:
    return str(row) if run_ids[row] == f"row-{row}" else f"{row} ({run_ids[row]})"


def _value(value: Any) -> str:
    if isinstance(value, float) and math.isfinite(value):
        return f"{value:g}"
    return repr(value) if isinstance(value, str) else str(value)


def _best(best: Best) -> str:
    kept = f"best of learning rate: kept the lowest loss of {len(best.kept)} configurations, of up to {best.most} runs each"
    if best.most < 2:
        return f"{kept}; nothing was chosen."
    factors = (
        f"E[min] of {best.median} normals is {-lowest_of(best.median):.2f} sd, of {best.most} {-lowest_of(best.most):.2f} sd"
    )
    if best.bias_nats is None:
        size = f"; by how much is not known, for no configuration was trained with several seeds ({factors})"
    else:
        most = f" and {best.most_bias_nats:.4f} at the most, {best.most}" if best.most > best.median else ""
        size = (
            f": by up to {best.bias_nats:.4f} nats per token at the median of {best.median} runs{most}, "
            f"from a seed sd of {best.seed_sd_nats:.4f} nats ({best.replicates} replicates; {factors})"
        )
    also = f" Also differing within configurations: {', '.join(best.also_differed)}." if best.also_differed else ""
    return (
        f"{kept}. The lowest of several noisy runs is biased low{size}. The bias is smaller where learning rates truly differ, and it differs "
        f"between configurations that had different numbers of runs.{also}"
    )


def _listed(head: str, names: Sequence[str]) -> list[str]:
    return [_wrapped(f"{head}: {', '.join(names)}", indent=0)] if names else []


def _sentences(head: str, sentences: Sequence[str]) -> list[str]:
    return [head, *(_wrapped(sentence) for sentence in sentences)] if sentences else []


def _wrapped(text: str, indent: int = 2) -> str:
    return textwrap.fill(
        text,
        line_width(),
        initial_indent=" " * indent,
        subsequent_indent=" " * (indent + 2),
        break_long_words=False,
        break_on_hyphens=False,
    )
