"""Errors a user can act on: where, which rule, what was found, and what to do about it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_ACTED_ON = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


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
    hint : str, optional
        What to do about it.

    Examples
    --------
    >>> bm.LawSpec(name="yun", priors={"gain": 3})  # doctest: +IGNORE_EXCEPTION_DETAIL
    Traceback (most recent call last):
    bayesmoe.errors.InputError: priors.gain: ...
    """

    def __init__(
        self,
        rule: str,
        *,
        file: str | Path | None = None,
        row: int | None = None,
        column: str | None = None,
        value: Any = None,
        hint: str | None = None,
    ):
        self.rule, self.file, self.row, self.column, self.value, self.hint = rule, file, row, column, value, hint
        where = [str(file)] if file is not None else []
        where += [f"row {row}"] if row is not None else []
        where += [str(column)] if column is not None else []
        text = f"{', '.join(where)}: {rule}" if where else rule
        if value is not None:
            text += f", found {value!r}"
        if hint is not None:
            text += f"; {hint}"
        super().__init__(printable(text if text.endswith((".", "?")) else text + "."))


def printable(text: str) -> str:
    """Text in one line, with what a terminal would act on (colors, line ends, the direction of writing) written as an escape."""
    return _ACTED_ON.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


@contextmanager
def with_source(file: str | Path, *sections: str) -> Iterator[None]:
    """Name ``file`` in complaints about its sections that were found after it was read, and so do not know it."""
    try:
        yield
    except InputError as error:
        if error.file is not None or (error.column or "").partition(".")[0] not in sections:
            raise
        raise InputError(error.rule, file=file, column=error.column, value=error.value, hint=error.hint) from error


def nearest(name: str, known: list[str] | tuple[str, ...]) -> str:
    """Return a hint that names the closest known word, or all of them."""
    import difflib

    close = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {close[0]!r}?" if close else f"known: {', '.join(sorted(known))}"
