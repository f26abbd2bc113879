"""Columns of a run table that follow from others."""

from __future__ import annotations

import pandas as pd

from bayesmoe.architecture import parameters_from_shape, train_flop
from bayesmoe.runs.columns import with_columns
from bayesmoe.runs.schema import MAPPABLE, SHAPE, SIZES
from bayesmoe.tables import numbers_of

_SHAPE = "shape columns d_model, num_layers, d_ff, num_moe_layers, d_expert"
_NEEDS = {
    "n_dense": _SHAPE,
    "n_active": "n_dense, n_total, num_experts and top_k",
    "n_total": _SHAPE,
    "granularity": "d_model and d_expert",
    "activation_ratio": "top_k",
}


_MOST_TOKENS_PER_STEP = 1e8
"""Tokens of a step beyond which a batch was counted in tokens: the largest runs published have 6e7."""

_LEAST_IN_TOKENS, _USUAL_RATIOS = 16, (1.0, 900.0)


def tokens_per_step(frame: pd.DataFrame) -> tuple[pd.Series | None, str]:
    """Tokens of an optimizer step, and from what; None where the table does not tell."""
    if "batch_tokens" in frame:
        return numbers_of(frame["batch_tokens"]), "batch_tokens"
    if not {"batch_sequences", "sequence_length"} <= set(frame.columns):
        return None, ""
    batch, length = numbers_of(frame["batch_sequences"]), numbers_of(frame["sequence_length"])
    per_step = batch * length
    if per_step.median() > _MOST_TOKENS_PER_STEP:
        return batch, "batch_sequences, read as tokens: no step has so many sequences"
    size = next((name for name in ("n_active", "n_dense", "n_total") if name in frame), None)
    if size is not None and "steps" in frame and (batch >= _LEAST_IN_TOKENS * length).all():
        ratio = (numbers_of(frame["steps"]) * batch / numbers_of(frame[size])).median()
        if _USUAL_RATIOS[0] <= ratio <= _USUAL_RATIOS[1] < ratio * length.median():
            many = f"as sequences a parameter would see {ratio * length.median():.3g} tokens, and {ratio:.3g} as tokens"
            return batch, f"batch_sequences, read as tokens: {many}"
    return per_step, "batch_sequences * sequence_length"


def tokens_made(frame: pd.DataFrame) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Tokens from steps and the batch, where a tracker counted steps only, and the sentence that says so."""
    if "tokens" in frame or "steps" not in frame:
        return frame, ()
    per_step, how = tokens_per_step(frame)
    if per_step is None:
        return frame, ()
    steps = numbers_of(frame["steps"])
    # Trackers write -1 for a length that follows from other settings.
    return with_columns(frame, {"tokens": steps.where(steps > 0) * per_step}), (f"tokens = steps * {how}",)


def derive(frame: pd.DataFrame) -> tuple[pd.DataFrame, list[str], list[str]]:
    """A checked frame with what follows from its columns, and sentences on what was derived and what could not be."""
    if "num_experts" not in frame:
        return frame, [], []
    known = _Known(frame[[name for name in MAPPABLE if name in frame]].copy())
    experts = known.frame["num_experts"]
    dense = experts == 1
    one = pd.Series(1.0, index=frame.index).where(dense)
    if "top_k" in frame or dense.all():
        known.give("top_k", one, "1 for dense runs")
    top_k = known.frame.get("top_k", one)
    _sizes(known, dense, top_k)
    found = known.frame
    if "epochs" in found and "tokens" in found:
        known.give("unique_tokens", found["tokens"] / found["epochs"].clip(lower=1.0), "tokens / epochs")
    if "n_active" in found and "tokens" in found:
        known.give("train_flop", train_flop(found["n_active"], found["tokens"]), "6 n_active tokens")
    if "d_model" in found and "d_expert" in found:
        width = found["d_expert"].where(experts > 1)
        ratio = (4.0 * found["d_model"] / width).where(~dense, 1.0)
        known.give("granularity", ratio, "4 d_model / d_expert, 1 for dense runs")
    elif "d_ff" in found and "d_expert" in found:
        ratio = (found["d_ff"] / found["d_expert"]).where(~dense, 1.0)
        known.give("granularity", ratio, "d_ff / d_expert, 1 for dense runs")
    if "top_k" in found:
        shared = found.get("shared_experts", 0)
        how = "(top_k + shared_experts) / (num_experts + shared_experts)"
        known.give("activation_ratio", (top_k + shared) / (experts + shared), how)
    found = known.frame
    missing = [
        f"{column}: give it, or {needs}"
        for column, needs in _NEEDS.items()
        if column not in found or found[column].isna().any()
    ]
    derived = [f"{column} = {how}" for column, how in known.derived if column in found]
    given = {column for column, _ in known.derived if column in found}
    return with_columns(frame, {str(column): found[column] for column in found if column in given}), derived, missing


def _sizes(known: _Known, dense: pd.Series, top_k: pd.Series) -> None:
    """Parameters from the shape, and active ones from the backbone, the total and the chosen experts."""
    experts = known.frame["num_experts"]
    if "d_shared" not in known.frame and {"shared_experts", "d_expert"} <= set(known.frame.columns):
        shared = known.frame["shared_experts"].fillna(0.0)
        if (shared > 0).any():
            known.give("d_shared", shared * known.frame["d_expert"].fillna(0.0), "shared_experts * d_expert")
    if all(column in known.frame for column in (*SHAPE, "top_k")):
        shape = {column: known.frame[column] for column in SHAPE}
        d_shared = known.frame.get("d_shared", 0.0)
        sizes = parameters_from_shape(**shape, num_experts=experts, top_k=top_k, d_shared=d_shared)
        for column, values in sizes.items():
            known.give(column, values, "from the shape columns, gated feed-forward parts, 4 d_model^2 attention")
    given = [column for column in SIZES if column in known.frame]
    if given and dense.any():
        size = known.frame[given].bfill(axis=1).iloc[:, 0].where(dense)
        # A backbone of some rows only is none that a law can read.
        for column in SIZES if dense.all() else given:
            others = [each for each in given if each != column]
            if others:
                known.give(column, size, f"{' or '.join(others)} for dense runs")
    if "n_dense" not in known.frame:
        return
    n_dense = known.frame["n_dense"]
    known.give("n_active", n_dense.where(dense), "n_dense for dense runs")
    known.give("n_total", n_dense.where(dense), "n_dense for dense runs")
    n_total = known.frame["n_total"]
    if n_total.notna().any() and "top_k" in known.frame:
        per_expert = (n_total - n_dense) / (experts - 1).where(experts > 1)
        how = "n_dense + (top_k - 1)(n_total - n_dense)/(num_experts - 1)"
        known.give("n_active", n_dense + (top_k - 1) * per_expert, how)
    unknown = [column for column in ("n_active", "n_total") if known.frame[column].isna().all()]
    known.frame = known.frame.drop(columns=unknown)


class _Known:
    """A frame whose blanks are filled, with what was derived and how."""

    def __init__(self, frame: pd.DataFrame):
        self.frame, self.derived = frame, list[tuple[str, str]]()

    def give(self, column: str, values: pd.Series, how: str) -> None:
        """Fill a column where the table does not give it."""
        if column not in self.frame:
            self.frame[column] = values
        elif self.frame[column].isna().any() and values.notna().any():
            self.frame[column] = self.frame[column].fillna(values)
        else:
            return
        self.derived.append((column, how))
