"""Run tables: one row is one trained model. Reading, checking, and deriving what can be derived."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from bayesmoe.architecture import parameters_from_shape, train_flop
from bayesmoe.errors import InputError, nearest
from bayesmoe.runs.expressions import evaluated
from bayesmoe.runs.read import read_frame
from bayesmoe.runs.schema import COLUMNS, SHAPE, checked

MAPPABLE = (*COLUMNS, *SHAPE, "d_shared")
"""Columns that a table's own names may be mapped to."""


@dataclass(frozen=True)
class RunTable:
    """A validated run table.

    Parameters
    ----------
    frame : DataFrame
        One row a run, canonical column names (:data:`bayesmoe.runs.schema.COLUMNS`), other columns kept.
    origin : str
        File or data set the runs came from.
    sha256 : str
        Checksum of the file read, or of the table's CSV text when it came from memory.
    derived : tuple of str
        Sentences that say which columns were derived, and how.
    missing : tuple of str
        Sentences that say which columns could not be derived, and what they would need.
    simulated : bool
        Whether the losses come from a law, not from training; every output says so.
    """

    frame: pd.DataFrame
    origin: str
    sha256: str
    derived: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    simulated: bool = False


def read_runs(
    path: str | Path,
    *,
    columns: dict[str, str] | None = None,
    select: str | None = None,
    group: str | None = None,
    response: str = "loss",
) -> RunTable:
    """Read a CSV or Parquet file of runs.

    Parameters
    ----------
    path : path
        ``.csv`` (also gzipped) or ``.parquet``.
    columns : dict, optional
        Canonical name to the file's own name: ``{"loss": "val_loss"}``.
    select : str, optional
        Expression over the columns that keeps the rows where it holds, such as ``"n_dense > 1e8 and seed == 1"``.
    group : str, optional
        Column whose values group the runs (router, corpus, recipe, lab).
    response : str
        Column that every run must have: ``loss``, or ``leverage`` for a table of efficiency leverages.

    Raises
    ------
    InputError
        The file is unreadable or a row breaks a rule; the message names file, row, column, rule, value and cure.

    Examples
    --------
    >>> len(bm.read_runs("runs.csv", columns={"loss": "val_loss"}).frame)  # doctest: +SKIP
    80
    """
    path = Path(path)
    frame = read_frame(path)
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    return _run_table(frame, str(path), sha256, columns or {}, select, group, response, simulated=False)


def read_models(path: str | Path) -> pd.DataFrame:
    """Read models that were not trained: a run table without losses, checked and derived as one.

    Raises
    ------
    InputError
        As :func:`read_runs`.
    """
    frame = read_frame(Path(path))
    # The rules are those of runs, and runs have losses; any allowed number will do.
    table = _run_table(frame.assign(loss=1.0), str(path), None, {}, None, None, "loss", simulated=False)
    return table.frame.drop(columns="loss")


def as_run_table(
    frame: pd.DataFrame,
    *,
    origin: str = "a DataFrame",
    sha256: str | None = None,
    columns: dict[str, str] | None = None,
    select: str | None = None,
    group: str | None = None,
    response: str = "loss",
    simulated: bool = False,
) -> RunTable:
    """Validate a DataFrame of runs; parameters and errors as in :func:`read_runs`."""
    frame = frame.set_axis(range(2, len(frame) + 2))
    return _run_table(frame, origin, sha256, columns or {}, select, group, response, simulated=simulated)


def _run_table(
    frame: pd.DataFrame,
    origin: str,
    sha256: str | None,
    columns: dict[str, str],
    select: str | None,
    group: str | None,
    response: str,
    *,
    simulated: bool,
) -> RunTable:
    """Rename, select, check and derive; the frame's index holds the row numbers that errors name."""
    frame = renamed(frame, columns, origin)
    if group is not None:
        if group not in frame:
            hint = nearest(group, list(map(str, frame.columns)))
            raise InputError("is named as the group column but is not in the table", file=origin, column=group, hint=hint)
        frame = frame.assign(group=frame[group].astype(str).where(frame[group].notna()))
    frame = _selected(frame, select, origin)
    if group is not None and frame["group"].isna().any():
        row = int(frame.index[frame["group"].isna()][0])
        hint = "name its recipe, or leave the run out with --select"
        raise InputError("must not be blank", file=origin, row=row, column=group, hint=hint)
    frame, derived, missing = derive(checked(frame, origin, response))
    sha256 = sha256 or hashlib.sha256(frame.to_csv(index=False).encode()).hexdigest()
    return RunTable(frame.reset_index(drop=True), origin, sha256, tuple(derived), tuple(missing), simulated)


def column_map(pairs: Iterable[str]) -> dict[str, str]:
    """Ours to the file's own, from flags ``ours=yours``, or :class:`InputError`."""
    found = {}
    for pair in pairs:
        ours, separator, yours = pair.partition("=")
        if not (separator and ours and yours):
            raise InputError("must be ours=yours, such as loss=val_loss", column="--map", value=pair)
        found[ours] = yours
    return found


def renamed(frame: pd.DataFrame, columns: dict[str, str], origin: str, mappable: tuple[str, ...] = MAPPABLE) -> pd.DataFrame:
    """Frame under our column names, with a ``run_id`` made from the row number where there is none.

    Parameters
    ----------
    frame : DataFrame
        Indexed by the row numbers of the file.
    columns : dict
        Ours to the file's own.
    origin : str
        File name for the message.
    mappable : tuple of str
        Names that may be mapped to.

    Raises
    ------
    InputError
        A column stands twice, or the map names a column that is not ours or not there.
    """
    present = list(map(str, frame.columns))
    doubled = frame.columns[frame.columns.duplicated()]
    if len(doubled):
        raise InputError(
            "stands more than once in the header", file=origin, column=str(doubled[0]), hint="rename one of the two"
        )
    for canonical, own in columns.items():
        if canonical not in mappable:
            raise InputError(
                "is not a column of ours to map to", file=origin, column=canonical, hint=nearest(canonical, list(mappable))
            )
        if own not in frame:
            raise InputError(
                f"is mapped to {canonical!r} but is not in the table", file=origin, column=own, hint=nearest(own, present)
            )
    replaced = [name for name in columns if name in frame and name not in columns.values()]
    frame = frame.drop(columns=replaced).rename(columns={own: canonical for canonical, own in columns.items()})
    if "run_id" not in frame:
        frame = frame.assign(run_id=[f"row-{row}" for row in frame.index])
    return frame


def _selected(frame: pd.DataFrame, select: str | None, origin: str) -> pd.DataFrame:
    if select is None:
        return frame
    try:
        holds = evaluated(frame, select)
    except (ValueError, SyntaxError) as error:
        raise InputError(
            f"cannot be evaluated ({str(error).partition(chr(10))[0]})",
            file=origin,
            column="select",
            value=select,
            hint="write it over column names, such as \"n_dense > 1e8 and group == 'Hash'\"",
        ) from error
    if not (isinstance(holds, pd.Series) and pd.api.types.is_bool_dtype(holds)):
        raise InputError(
            "must say yes or no of each run",
            file=origin,
            column="select",
            value=select,
            hint='compare, such as "num_experts > 4"',
        )
    kept = frame[holds]
    if kept.empty:
        raise InputError("keeps no run", file=origin, column="select", value=select, hint="loosen it")
    return kept


def derive(frame: pd.DataFrame) -> tuple[pd.DataFrame, list[str], list[str]]:
    """A checked frame with what follows from its columns, and sentences on what was derived and what could not be."""
    derived: list[str] = []
    missing: list[str] = []
    known = frame.copy()
    if "num_experts" not in known:
        return known, derived, missing

    def give(column: str, values: pd.Series, how: str) -> None:
        if column not in known:
            known[column] = values
        elif known[column].isna().any() and values.notna().any():
            known[column] = known[column].fillna(values)
        else:
            return
        derived.append(f"{column} = {how}")

    experts = known["num_experts"]
    dense = experts == 1
    if "top_k" in known or dense.all():
        give("top_k", pd.Series(1.0, index=known.index).where(dense), "1 for dense runs")
    top_k = known["top_k"] if "top_k" in known else pd.Series(1.0, index=known.index).where(dense)

    if all(column in known for column in SHAPE) and "top_k" in known:
        d_shared = known.get("d_shared", 0.0)
        shapes = parameters_from_shape(
            **{column: known[column] for column in SHAPE}, num_experts=experts, top_k=top_k, d_shared=d_shared
        )
        for column, values in shapes.items():
            give(column, values, "from the shape columns, gated feed-forward parts, 4 d_model^2 attention")
    if "n_dense" in known:
        give("n_active", known["n_dense"].where(dense), "n_dense for dense runs")
        give("n_total", known["n_dense"].where(dense), "n_dense for dense runs")
        if known["n_total"].notna().any() and "top_k" in known:
            per_expert = (known["n_total"] - known["n_dense"]) / (experts - 1).where(experts > 1)
            give(
                "n_active",
                known["n_dense"] + (top_k - 1) * per_expert,
                "n_dense + (top_k - 1)(n_total - n_dense)/(num_experts - 1)",
            )
        for column in ("n_active", "n_total"):
            if known[column].isna().all():
                known = known.drop(columns=column)
    if "n_active" in known and "tokens" in known:
        give("train_flop", train_flop(known["n_active"], known["tokens"]), "6 n_active tokens")
    if "d_model" in known and "d_expert" in known:
        width = known["d_expert"].where(experts > 1)
        give("granularity", (4.0 * known["d_model"] / width).where(~dense, 1.0), "4 d_model / d_expert, 1 for dense runs")
    elif "d_ff" in known and "d_expert" in known:
        give("granularity", (known["d_ff"] / known["d_expert"]).where(~dense, 1.0), "d_ff / d_expert, 1 for dense runs")
    if "top_k" in known:
        shared = known.get("shared_experts", 0)
        give(
            "activation_ratio",
            (top_k + shared) / (experts + shared),
            "(top_k + shared_experts) / (num_experts + shared_experts)",
        )

    for column, needs in _NEEDS.items():
        if column not in known or known[column].isna().any():
            missing.append(f"{column}: give it, or {needs}")
    derived = [sentence for sentence in derived if sentence.partition(" =")[0] in known]
    return known, derived, missing


_NEEDS = {
    "n_dense": "shape columns d_model, num_layers, d_ff, num_moe_layers, d_expert",
    "n_active": "n_dense, n_total, num_experts and top_k",
    "n_total": "shape columns d_model, num_layers, d_ff, num_moe_layers, d_expert",
    "granularity": "d_model and d_expert",
    "activation_ratio": "top_k",
}

__all__ = ["COLUMNS", "RunTable", "as_run_table", "read_runs"]
