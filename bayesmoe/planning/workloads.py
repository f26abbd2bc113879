"""Kinds of use: how long prompts and answers are, how they differ, and what of a prompt is cached; by name or from a log of requests."""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd

from bayesmoe.errors import InputError
from bayesmoe.runs.cells import flat
from bayesmoe.runs.read import read_frame
from bayesmoe.specs import About, spec
from bayesmoe.tables import numbers_of
from bayesmoe.units import percent, short

WORKLOAD = "workload"

_PROMPT = ("prompt_tokens", "input_tokens", "input_length", "prompt_length", "contexttokens", "num_prompt_tokens", "isl")
_OUTPUT = (
    "output_tokens",
    "completion_tokens",
    "output_length",
    "generatedtokens",
    "generated_tokens",
    "num_generated_tokens",
    "response_tokens",
    "osl",
)
_CACHED = ("cached_tokens", "cache_read_input_tokens", "num_cached_tokens")
_FEWEST = 100
"""Requests below which means and spreads say little."""


@spec
class WorkloadSpec:
    """Lengths of requests in place of ``prompt_tokens``, ``output_tokens`` and what goes with them.

    Parameters
    ----------
    workload : str
        Kind of use, "chat", "long_chat", "code", "agent" or "batch", or a log of requests (CSV, JSON lines, Parquet) with the prompt and
        output tokens of each. It stands for the mean lengths, their spread and correlation, and the cached share; keys that are given beside
        it win.
    """

    workload: Annotated[str, About("", "public traces of requests")]


@cache
def _shipped() -> dict[str, dict[str, Any]]:
    return tomllib.loads(Path(__file__).with_name("workloads.toml").read_text(encoding="utf-8"))


def workload(name: str | Path) -> dict[str, Any]:
    """Keys of ``[serving]`` that a kind of use stands for.

    ``prompt_tokens = mean(p)``, ``prompt_cv = sd(p)/mean(p)``, the same of outputs n; ``length_correlation = corr(ln p, ln n)``;
    ``cached_share = sum(cached)/sum(p)``.

    Parameters
    ----------
    name : str or path
        "chat", "long_chat", "code", "agent", "batch", or a log of requests: CSV, JSON lines or Parquet with the prompt and output tokens of
        each, under the names of engines, OpenAI's usage records or public traces; with the cached tokens of each where known.

    Returns
    -------
    dict of float
        Lengths in tokens, shares and ratios; what the log does not say is left out.

    Raises
    ------
    InputError
        There is no such kind of use, or the file is no log of requests.

    Examples
    --------
    >>> bm.Serving(accelerator="H100", **bm.workload("chat")).prompt_tokens
    1154.7
    """
    return _described(name)[0]


def with_workload(raw: dict[str, Any], *, folder: Path) -> tuple[dict[str, Any], list[str]]:
    """A scenario as written with its workload as lengths, and a sentence that says so; files are taken from ``folder``."""
    serving = raw.get("serving")
    if not isinstance(serving, dict) or WORKLOAD not in serving:
        return raw, []
    written = serving[WORKLOAD]
    if not isinstance(written, str):
        raise InputError(
            "must be a kind of use or a file",
            column="serving.workload",
            value=written,
            hint=f"one of {', '.join(_shipped())}",
        )
    meant, source = _described(folder / written if _is_file(written) else written)
    rest = {key: value for key, value in serving.items() if key != WORKLOAD}
    kept = [key for key in meant if key in rest]
    said = f"serving.workload = {written!r}: {_in_words(meant)} ({source})"
    if kept:
        said += f"; {' and '.join(kept)} as given"
    return {**raw, "serving": {**meant, **rest}}, [said]


def _is_file(name: str | Path) -> bool:
    return isinstance(name, Path) or (name not in _shipped() and ("." in name or "/" in name))


def _described(name: str | Path) -> tuple[dict[str, float], str]:
    """Keys of ``[serving]``, and where they come from."""
    if _is_file(name):
        return _of_trace(Path(name))
    known = _shipped()
    word = str(name).lower().strip().replace("-", "_").replace(" ", "_")
    if word not in known:
        raise InputError(
            "is no known kind of use, nor a file",
            column="serving.workload",
            value=str(name),
            hint=f"one of {', '.join(known)}, or a .csv or .jsonl of requests",
        )
    return {key: value for key, value in known[word].items() if key != "source"}, known[word]["source"]


def _of_trace(path: Path) -> tuple[dict[str, float], str]:
    frame = _flattened(read_frame(path))
    prompt, output = (_tokens(frame, path, names, what) for names, what in ((_PROMPT, "prompt"), (_OUTPUT, "output")))
    cached = _tokens(frame, path, _CACHED, "cached", required=False)
    # A request that failed, or was cut off before its first token, has no length.
    whole = ((prompt > 0) & (output > 0)).to_numpy()
    if whole.sum() < 2:
        raise InputError("has no two requests with a prompt and an output", file=path, hint="give a log of some hundreds")
    prompt, output = prompt[whole].to_numpy(), output[whole].to_numpy()
    logs = np.log([prompt, output])
    varies = bool((logs.std(axis=1) > 0).all())
    found = {
        "prompt_tokens": float(prompt.mean()),
        "output_tokens": float(output.mean()),
        "prompt_cv": float(prompt.std() / prompt.mean()),
        "output_cv": float(output.std() / output.mean()),
        "length_correlation": float(np.clip(np.corrcoef(logs)[0, 1], -1.0, 1.0)) if varies else 0.0,
    }
    if cached is not None:
        share = float(np.minimum(np.nan_to_num(cached[whole].to_numpy()), prompt).sum() / prompt.sum())
        found |= {"cached_share": share} if share > 0 else {}
    source = f"{len(prompt):,} requests of {path.name}"
    if len(whole) > len(prompt):
        source += f", {len(whole) - len(prompt):,} without a length left out"
    return found, source + (f"; fewer than {_FEWEST} say little" if len(prompt) < _FEWEST else "")


def _flattened(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame with records in its cells, such as OpenAI's ``usage``, as columns."""
    records = [name for name in frame if frame[name].map(lambda cell: isinstance(cell, dict)).any()]
    inner = [
        pd.DataFrame([flat(cell, "") if isinstance(cell, dict) else {} for cell in frame[name]], index=frame.index)
        for name in records
    ]
    return pd.concat([frame.drop(columns=records), *inner], axis=1)


def _tokens(frame: pd.DataFrame, path: Path, names: tuple[str, ...], what: str, *, required: bool = True) -> Any:
    """Numbers of the first column of one of these names; None where there need be none."""
    by_name = {_last(str(column)): place for place, column in reversed([*enumerate(frame.columns)])}
    place = next((by_name[name] for name in names if name in by_name), None)
    if place is None and not required:
        return None
    if place is None:
        raise InputError(
            f"has no column of {what} tokens",
            file=path,
            value=", ".join(map(str, frame.columns[:8])),
            hint=f"name one {names[0]}, with the tokens of each request",
        )
    return numbers_of(frame.iloc[:, place])


def _last(column: str) -> str:
    """The name of a column without the records around it, in small letters."""
    return column.rpartition(".")[2].strip().lower().replace(" ", "_")


def _in_words(meant: dict[str, float]) -> str:
    said = f"prompts of {short(meant['prompt_tokens'])} and answers of {short(meant['output_tokens'])} tokens on average"
    if "prompt_cv" in meant:
        said += f", which vary by {percent(meant['prompt_cv'])} and {percent(meant['output_cv'])}"
    if "cached_share" in meant:
        said += f"; {percent(meant['cached_share'])} of the prompts cached"
    return said
