"""Errors a user can act on: where, which rule, what was found, and the cure."""

from __future__ import annotations

from pathlib import Path
from typing import Any


class InputError(Exception):
    """Bad input, said in one sentence; the command line exits with code 2.

    Parameters
    ----------
    rule : str
        What must hold, as the middle of a sentence: ``"must be positive"``.
    file : path, optional
        The file that was read.
    row : int, optional
        Line in the file; the header is line 1.
    column : str, optional
        Column, TOML key or flag.
    value : object, optional
        What was found.
    cure : str, optional
        What to do about it.
    """

    def __init__(
        self,
        rule: str,
        *,
        file: str | Path | None = None,
        row: int | None = None,
        column: str | None = None,
        value: Any = None,
        cure: str | None = None,
    ):
        self.rule, self.file, self.row, self.column, self.value, self.cure = rule, file, row, column, value, cure
        where = [str(file)] if file is not None else []
        where += [f"row {row}"] if row is not None else []
        where += [str(column)] if column is not None else []
        text = f"{', '.join(where)}: {rule}" if where else rule
        if value is not None:
            text += f", found {value!r}"
        if cure is not None:
            text += f"; {cure}"
        super().__init__(text if text.endswith((".", "?")) else text + ".")


def nearest(name: str, known: list[str] | tuple[str, ...]) -> str:
    """Return a cure that names the closest known word, or all of them."""
    import difflib

    close = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {close[0]!r}?" if close else f"known: {', '.join(sorted(known))}"
