"""Which rows of a table are no runs of their own: one function a suspicion, each giving its findings."""

from __future__ import annotations

import re

from bayesmoe.runs.finding import Finding, Sheet, Suspicion
from bayesmoe.runs.histories import checkpoints, history
from bayesmoe.runs.words import plain

_ENDED = {
    "finished", "completed", "complete", "done", "success", "succeeded", "successful", "ok", "ended", "published", "true", "yes", "passed", "inactive",
}  # fmt: skip
_NOT_ENDED = {
    "running", "failed", "crashed", "killed", "preempting", "preempted", "pending", "scheduled", "canceled", "timeout", "oom",
    "diverged", "stopped", "cancelled", "aborted", "queued", "out_of_memory", "node_fail", "timed_out", "interrupted", "error", "crash",
    "fail", "nan", "boot_fail", "deadline", "suspended", "requeued", "lost", "evicted", "false", "no", "unfinished", "incomplete", "in_progress", "active",
}  # fmt: skip
_YES = {"true", "yes", "1", "1.0"}
_CODES = ("exit_code", "exitcode", "return_code", "returncode")


def unfinished(sheet: Sheet) -> list[Finding]:
    """Runs that crashed, were killed or still go on, by the tracker's own word; other words deserve a look."""
    if "state" not in sheet.frame:
        return []
    given = sheet.frame["state"]
    said = given.astype(str).str.strip().str.lower().where(given.notna())
    # Schedulers add who or why: "CANCELLED by 1001".
    state = said.map(lambda text: re.split(r"[\s:(+]", text, maxsplit=1)[0], na_action="ignore")
    if plain(sheet.own("state")) in _CODES:
        code = sheet.numbers("state")
        state = state.mask(code == 0, "finished").mask(code > 0, "failed")
    hint = "its last loss is not the loss of a whole schedule: finish the run or leave it out"
    found = sheet.wrong("unfinished", "state", state.isin(_NOT_ENDED), "must have finished", hint)
    unknown = state.notna() & ~state.isin(_ENDED | _NOT_ENDED)
    rule = "is no word for how a run ends that is known here"
    return found + sheet.look("unknown state", "state", unknown, rule, "leave the run out if it did not finish")


def diverged(sheet: Sheet) -> list[Finding]:
    """Runs that are marked as diverged."""
    if "diverged" not in sheet.frame:
        return []
    marked = sheet.frame["diverged"].astype(str).str.strip().str.lower().isin(_YES)
    return sheet.wrong("diverged", "diverged", marked, "must not have diverged", "leave the run out, or train it again")


def copies(sheet: Sheet) -> list[Finding]:
    """Rows that say of one run the same twice."""
    if "run_id" not in sheet.frame:
        return []
    alike = sheet.frame[sheet.frame["run_id"].astype(str).duplicated(keep=False)]
    twice = alike.astype(str).duplicated()
    return sheet.wrong("copy", "run_id", twice, "stands in an earlier row with the same values", "drop the copy")


OF_ROWS: tuple[Suspicion, ...] = (unfinished, diverged, checkpoints, history, copies)
"""Suspicions of rows that are no runs of their own; of those nothing else is asked."""
