"""What tables of the user's own measurements have in common: rows that are left out or refused, and shapes by name."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from bayesmoe.architecture import Shape, read_shape
from bayesmoe.errors import InputError, nearest


def unflagged(frame: pd.DataFrame, path: str | Path) -> pd.DataFrame:
    """Rows without ``quality_flags``.

    Raises
    ------
    InputError
        None is left.
    """
    if "quality_flags" in frame:
        flags = frame["quality_flags"].astype("string").str.strip()
        frame = frame[flags.isna() | (flags == "")].copy()
    if frame.empty:
        raise InputError("has no points", file=path, hint="give measured points that carry no quality_flags")
    return frame


def refuse_rows(
    frame: pd.DataFrame, path: str | Path, column: str, broken: pd.Series, rule: str, hint: str | None = None
) -> None:
    """Raise :class:`InputError` of the first row that breaks a rule; the index is the line that each stands in."""
    if broken.any():
        line, value = next(frame.loc[broken, column].items())
        raise InputError(rule, file=path, row=int(str(line)), column=column, value=str(value), hint=hint)


def require_known(frame: pd.DataFrame, path: str | Path, column: str, names: list[str]) -> None:
    """Refuse the first row whose name in a column is not one of these."""
    unknown = ~frame[column].isin(names)
    hint = nearest(str(frame.loc[unknown, column].iloc[0]), names) if unknown.any() else None
    refuse_rows(frame, path, column, unknown, "is not known", hint)


def shapes_named(architectures: pd.Series, path: Path) -> list[Shape]:
    """Shape of each point: a public model, or a TOML file beside the table; an error in such a file says which row names it."""
    shapes = {}
    for line, name in architectures.drop_duplicates().items():
        row = int(str(line))
        try:
            shapes[name] = read_shape(str(name), folder=path.parent)
        except InputError as error:
            if error.file is None:
                raise InputError(
                    error.rule, file=path, row=row, column="architecture", value=str(name), hint=error.hint
                ) from error
            hint = f"{error.hint or 'mend it'} (row {row} of {path} names it)"
            raise InputError(error.rule, file=error.file, column=error.column, value=error.value, hint=hint) from error
    return [shapes[name] for name in architectures]
