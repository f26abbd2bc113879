"""Whether a spec's law has repeated tokens, which its table says, and what the law then reads of it."""

from __future__ import annotations

import dataclasses
import math

import pandas as pd

from bayesmoe.errors import InputError
from bayesmoe.inference.spec import FitSpec, law_of
from bayesmoe.laws import Law
from bayesmoe.laws.repetition import Repeated
from bayesmoe.runs import RunTable
from bayesmoe.runs.epochs import UNIQUE, repeats, with_unique_tokens


def resolved(spec: FitSpec, table: RunTable) -> tuple[FitSpec, RunTable]:
    """The spec of one law with yes or no for ``law.repetition``, and the table with what that law reads.

    Parameters
    ----------
    spec : FitSpec
        Of one law. "auto" becomes yes where some run has more than one epoch and the law reads tokens.
    table : RunTable
        Its runs; a run without distinct tokens and epochs counts as one epoch.

    Raises
    ------
    InputError
        Repetition is asked for, and the table has neither ``unique_tokens`` nor ``epochs``, or the law reads no tokens.
    """
    asked, frame = spec.law.repetition, table.frame
    if asked == "auto":
        asked = "tokens" in law_of(spec.law).covariates and bool(repeats(frame).any())
        spec = dataclasses.replace(spec, law=dataclasses.replace(spec.law, repetition=asked))
    if not asked:
        return spec, table
    if not {UNIQUE, "epochs"} & set(frame.columns):
        hint = "add the distinct tokens of each run, or its passes over them as epochs; or leave law.repetition out"
        raise InputError("is needed by law.repetition = true", file=table.origin, column=UNIQUE, hint=hint)
    return spec, dataclasses.replace(table, frame=completed(frame, law_of(spec.law)))


def completed(frame: pd.DataFrame, law: Law) -> pd.DataFrame:
    """The frame with distinct tokens where the law reads them; runs of which nothing is said have one epoch.

    Raises
    ------
    InputError
        Distinct tokens or epochs are no positive numbers.
    """
    if not isinstance(law, Repeated) or "tokens" not in frame:
        return frame
    for name in frame.columns.intersection([UNIQUE, "epochs"]):
        numbers = pd.to_numeric(frame[name], errors="coerce")
        bad = frame[name].notna() & ~((numbers > 0) & (numbers < math.inf))
        if bad.any():
            value = frame.loc[bad, name].iloc[0]
            hint = "leave it blank where nothing is known: the run then counts as one epoch"
            raise InputError("must be a positive number", column=name, value=value, hint=hint)
        frame = frame.assign(**{name: numbers})
    return with_unique_tokens(frame)
