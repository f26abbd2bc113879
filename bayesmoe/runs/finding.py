"""What a suspicion looks at and what it says: a sheet of runs in, findings out."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pandas as pd

from bayesmoe.errors import InputError
from bayesmoe.tables import numbers_of

Severity = Literal["wrong", "look"]


@dataclass(frozen=True)
class Finding:
    """Something that looks wrong.

    Parameters
    ----------
    kind : str
        The suspicion in a word or two.
    severity : {"wrong", "look"}
        Whether the rows cannot stand as they are, or deserve a look.
    rule : str
        What should hold, or what was seen, as the middle of a sentence.
    rows : tuple of int
        Lines of the file; none where the table as a whole is meant.
    column : str, optional
        The file's own name of the column.
    value : object, optional
        What was found in the first of the rows.
    hint : str
        What to do about it.
    """

    kind: str
    severity: Severity
    rule: str
    hint: str
    rows: tuple[int, ...] = ()
    column: str | None = None
    value: Any = None

    def as_error(self, origin: str) -> InputError:
        """What is wrong with the first of the rows, as one sentence."""
        row = self.rows[0] if self.rows else None
        return InputError(self.rule, file=origin, row=row, column=self.column, value=self.value, hint=self.hint)


@dataclass(frozen=True)
class Sheet:
    """Runs under our column names, indexed by line, with the file's own names beside.

    Parameters
    ----------
    frame : DataFrame
        Columns under our names, and under the file's own where they have none of ours.
    names : mapping of str to str
        Ours to the file's own.
    present : collection of str
        All column names of the file.
    mapped : collection of str
        Ours that the user named a column for.
    tracked : bool
        Whether a tracker wrote the file.
    """

    frame: pd.DataFrame
    names: Mapping[str, str] = field(default_factory=dict)
    present: Collection[str] = ()
    mapped: Collection[str] = ()
    tracked: bool = False

    def own(self, ours: str) -> str:
        """The file's name of a column."""
        return self.names.get(ours, ours)

    def numbers(self, ours: str) -> pd.Series:
        """A column as numbers; all NaN where the table has none."""
        if ours not in self.frame:
            return pd.Series(np.nan, index=self.frame.index)
        return numbers_of(self.frame[ours])

    def size(self) -> tuple[pd.Series, str]:
        """Parameters that a token uses, or else of the backbone, or else in all, of each run, and ours of the first that the table has."""
        sizes = {ours: self.numbers(ours) for ours in ("n_active", "n_dense", "n_total")}
        known = [ours for ours, values in sizes.items() if values.notna().any()]
        given = next(iter([ours for ours in known if ours in self.names] or known), "")
        return pd.DataFrame(sizes).bfill(axis=1).iloc[:, 0], given

    def wrong(self, kind: str, ours: str, holds: pd.Series, rule: str, hint: str) -> list[Finding]:
        """A finding that the rows where a condition holds cannot stand; none where it holds nowhere."""
        return self._about("wrong", kind, ours, holds, rule, hint)

    def look(self, kind: str, ours: str, holds: pd.Series, rule: str, hint: str) -> list[Finding]:
        """A finding that the rows where a condition holds deserve a look; none where it holds nowhere."""
        return self._about("look", kind, ours, holds, rule, hint)

    def _about(self, severity: Severity, kind: str, ours: str, holds: Any, rule: str, hint: str) -> list[Finding]:
        rows = rows_where(holds)
        if not rows:
            return []
        value = self.frame[ours].loc[rows[0]] if ours in self.frame else None
        plain = value.item() if isinstance(value, np.generic) else value
        # A blank has no value to show.
        plain = None if isinstance(plain, float) and np.isnan(plain) else plain
        return [Finding(kind, severity, rule, hint, rows, self.own(ours), plain)]


Suspicion = Callable[[Sheet], list[Finding]]


def rows_where(holds: pd.Series) -> tuple[int, ...]:
    """Lines at which a condition holds."""
    return tuple(int(row) for row in holds.index[holds.to_numpy(bool)])
