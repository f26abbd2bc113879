"""OLMoE-3 ladder, Allen Institute for AI: unpublished working notes of mid-2026 (no arXiv id), cite as such.

Upstream: allenai/OLMo-core, branch jacobm/olmoe-dev-v2, ``PLOTTED_RESULTS.md``. License: Apache-2.0.
Sizes and the rows of later notes are small tables that this project read from the same repository.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterator, Mapping, Sequence
from pathlib import Path

import pandas as pd

from bayesmoe.errors import InputError

HEADINGS: tuple[str, ...] = (
    "Baseline Ladder", "Expert Granularity", "Total Sparsity", "Shared Expert", "Dense Schedule",
    "Qwen3-Like", "Integration Candidates",
)  # fmt: skip
BASELINE = "baseline 48E/top4"
# The dense-schedule plots name the same baseline after its one leading dense layer.
ALIASES = {"baseline dense1 + shared": BASELINE}
LR_TEXT = "lr={:g}".format
HINT = "download the registered commit again"
CELL = ["size_label", "cx", "variant"]

# The log rounds tokens to a million and to whole batches; a size that is wrong would show above this.
TOKENS_TOLERANCE = 1e-3

SHAPE_COLUMNS = (
    "size_label", "variant", "group", "d_model", "num_layers", "num_moe_layers", "num_experts", "top_k",
    "d_expert", "d_shared", "n_active_nonembedding", "n_total_nonembedding", "n_embedding", "n_lm_head",
)  # fmt: skip
LATE_COLUMNS = ("size_label", "cx", "variant", "lr", "loss", "tokens_computed")
COLUMNS = [
    "run_id", "source", "group", "n_active", "n_total", "n_dense", "tokens", "num_experts", "top_k",
    "granularity", "shared_experts", "train_flop", "loss", "seed", "notes", "variant", "size_label", "cx",
    "lr", "batch", "d_model", "num_layers", "num_moe_layers", "d_expert", "d_shared",
    "n_active_with_lm_head", "n_active_all", "n_total_all",
]  # fmt: skip


def full(raw: Mapping[str, Path]) -> pd.DataFrame:
    """Return every completed run, one per learning rate, by size, Cx, variant and learning rate.

    Parameters
    ----------
    raw : mapping of str to Path
        ``results``: PLOTTED_RESULTS.md; ``shapes``: the table of sizes.

    Returns
    -------
    DataFrame
        Columns as in the data card of ``olmoe3_full``.

    Raises
    ------
    InputError
        A heading, column or size is missing, or two files contradict each other.
    """
    runs = _runs(raw["results"])
    runs["notes"] += runs["lr"].map(LR_TEXT)
    return _tidy(runs.assign(run_id="olmoe3-" + runs["wandb"]), raw)


def tuned(raw: Mapping[str, Path]) -> pd.DataFrame:
    """Return the best observed learning rate of every size, Cx and variant, the late rows last.

    Parameters
    ----------
    raw : mapping of str to Path
        As in :func:`full`, which names the errors too, and ``late_rows``: the rows of later notes.

    Returns
    -------
    DataFrame
        Columns as in the data card of ``olmoe3_tuned``.
    """
    runs = _runs(raw["results"])
    # The ladder's batch at Cx2 is 384k; the few 512k runs there follow a recipe no other cell has.
    runs = runs[~((runs["cx"] == 2) & (runs["batch"] == "512k"))]
    cells = runs.groupby(CELL)
    best = runs.loc[cells["loss"].idxmin()].set_index(CELL)
    best["num_lr"] = cells["lr"].nunique()
    best["bracketed"] = ((best["lr"] > cells["lr"].min()) & (best["lr"] < cells["lr"].max())).astype("int64")
    best = best.reset_index().assign(late=0)
    late = _read_table(raw["late_rows"], LATE_COLUMNS).rename(columns={"tokens_computed": "tokens"})
    late = late.assign(num_lr=1, bracketed=0, late=1)
    late["notes"] = "from optimal_losses.md 2026-07-12, tokens computed; "
    rows = pd.concat([best, late], ignore_index=True)
    rows["notes"] += rows["num_lr"].map("best observed of {} LRs; ".format) + rows["lr"].map(LR_TEXT)
    rows["notes"] += rows["bracketed"].map({0: "; LR not bracketed", 1: ""})
    rows["run_id"] = "olmoe3t-" + rows["size_label"] + "-Cx" + rows["cx"].astype(str) + "-"
    rows["run_id"] += rows["variant"].str.replace(r"[^A-Za-z0-9.]+", "-", regex=True)
    return _tidy(rows, raw, extra=["num_lr", "bracketed", "late"])


def _runs(path: Path) -> pd.DataFrame:
    """Read the runs of all headings and count each W&B id once."""
    lines = [_run(cells, row, path) for cells, row in _run_lines(path)]
    rows = pd.DataFrame(lines, columns=["wandb", *CELL, "lr", "batch", "tokens", "loss"])
    by_id = rows.groupby("wandb", sort=False)
    disagreeing = by_id.nunique().gt(1)
    for column in disagreeing.columns[disagreeing.to_numpy().any(axis=0)]:
        wandb = disagreeing.index[disagreeing[column].to_numpy()][0]
        raise InputError(f"must be the same under every heading for run {wandb}", file=path, column=str(column))
    # Only some headings give the batch; first() takes the first value that is not blank.
    runs = by_id.first().reset_index().sort_values([*CELL, "lr"], kind="stable", ignore_index=True)
    return runs.assign(notes="W&B run " + runs["wandb"] + "; ")


def _run_lines(path: Path) -> Iterator[tuple[dict[str, str], int]]:
    """Yield the cells and the line number of every line of the tables that have a W&B column."""
    missing, heading, header = dict.fromkeys(HEADINGS), "", None
    for row, line in enumerate(Path(path).read_text(encoding="utf-8").splitlines(), start=1):
        if not line.startswith("|"):
            heading, header = line.removeprefix("## ") if line.startswith("## ") else heading, None
            continue
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if header is None:
            header = cells
            if "W&B" in header:
                missing.pop(heading, None)
                own = "batch" if heading == "Baseline Ladder" else "variant"
                _require(("model", "Cx", own, "LR", "tokensB", "avg250M"), header, path)
        elif "W&B" in header and not set(line) <= set("|-: "):
            if len(cells) != len(header):
                raise InputError(f"must have {len(header)} cells", file=path, row=row, value=len(cells))
            yield dict(zip(header, cells, strict=True)), row
    if missing:
        rule = f"must have a table of runs under the heading {next(iter(missing))!r}"
        raise InputError(rule, file=path, column="W&B", hint=HINT)


def _run(cells: Mapping[str, str], row: int, path: Path) -> dict[str, object]:
    """Turn the cells of one line into the columns of the tidy table."""
    cells = {"variant": BASELINE, **cells}

    def parsed(column: str, pattern: str) -> re.Match[str]:
        match = re.fullmatch(pattern, cells[column])
        if match is None:
            raise InputError("cannot be read", file=path, row=row, column=column, value=cells[column])
        return match

    number = r"\d+(?:\.\d+)?(?:e-?\d+)?"
    name, suffix = parsed("variant", r"(.+?)(?: \(b(\d+k)\))?").groups()
    return {
        "wandb": parsed("W&B", r"\[(\w+)\].*")[1],
        "size_label": cells["model"],
        "cx": int(parsed("Cx", r"Cx(\d+)")[1]),
        "variant": ALIASES.get(name, name),
        "lr": float(parsed("LR", number)[0]),
        "batch": cells.get("batch", suffix),
        "tokens": round(float(parsed("tokensB", number)[0]) * 1e9),
        "loss": float(parsed("avg250M", number)[0]),
    }


def _tidy(rows: pd.DataFrame, raw: Mapping[str, Path], extra: Sequence[str] = ()) -> pd.DataFrame:
    """Join the sizes and order the columns."""
    shapes = _read_table(raw["shapes"], SHAPE_COLUMNS).rename(
        columns={"n_active_nonembedding": "n_active", "n_total_nonembedding": "n_total"}
    )
    ids = rows["run_id"]
    rows = rows.merge(shapes, on=["size_label", "variant"], validate="many_to_one")
    if len(rows) < len(ids):
        rule = f"must have the size and variant of run {ids[~ids.isin(rows['run_id'])].iloc[0]}"
        raise InputError(rule, file=raw["shapes"], column="variant")
    with_head = rows["n_active"] + rows["n_lm_head"]
    off = (rows["tokens"] / (20 * rows["cx"] * with_head) - 1).abs() > TOKENS_TOLERANCE
    if off.any():
        run_id, tokens = rows.loc[off, ["run_id", "tokens"]].iloc[0]
        rule = f"must be 20 * Cx * (n_active + LM head) for run {run_id}"
        raise InputError(rule, file=raw["shapes"], value=int(tokens), hint="check its sizes there")
    return rows.assign(
        source="OLMoE3-ladder",
        n_dense=float("nan"),
        seed=float("nan"),
        granularity=(4 * rows["d_model"] / rows["d_expert"]).round(4),
        shared_experts=(rows["d_shared"] > 0).astype("int64"),
        # In float: the product does not fit 64-bit integers.
        train_flop=6.0 * with_head * rows["tokens"],
        n_active_with_lm_head=with_head,
        n_active_all=with_head + rows["n_embedding"],
        n_total_all=rows["n_total"] + rows["n_lm_head"] + rows["n_embedding"],
    )[[*COLUMNS, *extra]]


def _read_table(path: Path, columns: Sequence[str]) -> pd.DataFrame:
    table = pd.read_csv(path)
    _require(columns, table.columns, path)
    return table


def _require(columns: Sequence[str], present: Container[str], path: Path) -> None:
    for column in columns:
        if column not in present:
            raise InputError("must be a column of the table", file=path, column=column, hint=HINT)
