"""Runs of a tracker's server as a table that a check reads: one row a run, its settings and results as JSON in single cells."""

from __future__ import annotations

import inspect
import json
import os
import re
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any, NoReturn

import pandas as pd

from bayesmoe.errors import InputError
from bayesmoe.progress import Progress

_SOURCE = re.compile(r"wandb:([^/:\s]+)/([^/\s]+)")
_PAGE, _SHOWN = 200, 200
_SECRET = re.compile(r"(?i)(?:^|[_.-])(?:api_?key|password|passwd|secret|credentials?|(?:access|auth|hf|bearer)_?token)$")
_LONG_WORD = re.compile(r"[A-Za-z0-9_-]{32,}")
_CAUSES = {
    "network": r"connect|dial tcp|timed? ?out|no such host|resolve|network|unreachable|giving up|in time|\b50\d\b",
    "login": r"authenticationerror|\b401\b|unauthenticated|api.key|logged in|log in|no authentication",
    "access": r"\b403\b|permission|forbidden|not authorized|access denied",
    "absent": r"\b404\b|could not find project|not found",
}
"""What the client's messages say, by words in small letters."""


def fetched(source: str, on_progress: Callable[[Progress], None]) -> tuple[pd.DataFrame, list[str]]:
    """Runs of a project: ``run_id``, ``name``, ``state``, ``tags``, ``created_at``, ``config`` and ``summary`` of each, and what to say of them.

    The client finds the key by itself; settings whose names say that they are keys or passwords are left out.

    Parameters
    ----------
    source : str
        ``wandb:ENTITY/PROJECT``.
    on_progress : callable
        Called after each run.

    Raises
    ------
    InputError
        The source is none, the client is not installed, or the server does not give the runs.
    """
    project = _project(source)
    if find_spec("wandb") is None:
        hint = "pip install 'bayesmoe[wandb]'"
        raise InputError("needs the client of Weights & Biases, which is not installed", column=source, hint=hint)
    try:
        return _rows(source, _listed(project, lazy=False), on_progress)
    except InputError:
        raise
    except Exception as error:
        if _cause(error, source) is not None:
            _refuse(source, error)
    # One run whose results are no JSON stops a page of runs; asked for one by one, the others can be read.
    try:
        return _rows(source, _listed(project, lazy=True), on_progress)
    except InputError:
        raise
    except Exception as error:
        _refuse(source, error)


def _project(source: str) -> str:
    found = _SOURCE.fullmatch(source)
    if found:
        return f"{found[1]}/{found[2]}"
    scheme, colon, rest = source.partition(":")
    address = re.match(r"https?://[^/]+/([^/\s]+)/([^/?#\s]+)", source)
    if address:
        rule, hint = "must be wandb:ENTITY/PROJECT", f"write wandb:{address[1]}/{address[2]}"
    elif colon and scheme != "wandb":
        rule, hint = f"is of a tracker that is not known ({scheme})", "write wandb:ENTITY/PROJECT, or export the runs as CSV"
    else:
        parts = [part for part in (rest if colon else source).split("/") if part]
        written = f"wandb:{parts[0]}/{parts[1]}" if len(parts) == 2 else "wandb:ENTITY/PROJECT, as in the project's address"
        rule, hint = "must be wandb:ENTITY/PROJECT", f"write {written}"
    raise InputError(rule, column="SOURCE", value=source, hint=hint)


def _listed(project: str, *, lazy: bool) -> Any:
    """The client's list of runs; a page is asked for when it is reached."""
    # It would ask for a key on the terminal and keep it in a file.
    os.environ.setdefault("WANDB_SILENT", "true")
    import wandb  # pyright: ignore[reportMissingImports]

    api = wandb.Api()
    asked = {"lazy": lazy} if "lazy" in inspect.signature(api.runs).parameters else {}
    return api.runs(project, per_page=_PAGE, **asked)


def _rows(source: str, runs: Any, on_progress: Callable[[Progress], None]) -> tuple[pd.DataFrame, list[str]]:
    total = len(runs)
    if not total:
        hint = "check its name, and that runs were logged into it"
        raise InputError("has no runs", column=source, hint=hint)
    rows, broken, secret = list[dict[str, Any]](), list[str](), set[str]()
    for run in runs:
        cells = {}
        for part in ("config", "summary"):
            try:
                cells[part] = json.dumps(_without_secrets(_mapping(getattr(run, part)), secret), default=str)
            except (AttributeError, TypeError, ValueError) as error:
                cells[part] = _unreadable(error)
            except Exception as error:
                if _cause(error, source) is not None:
                    raise
                cells[part] = _unreadable(error)
            if cells[part].startswith("{cannot"):
                broken.append(f"the {part} of run {run.name or run.id} cannot be read")
        rows.append(
            {
                "run_id": run.id,
                "name": run.name,
                "state": run.state,
                "tags": ", ".join(map(str, getattr(run, "tags", None) or ())),
                "created_at": getattr(run, "created_at", None),
                **cells,
            }
        )
        on_progress(Progress("fetching", min(len(rows), total), total))
    said = broken[:3] + ([f"and {len(broken) - 3} more like it"] if len(broken) > 3 else [])
    said += [f"left out settings that hold keys by their names: {', '.join(sorted(secret))}"] if secret else []
    return pd.DataFrame(rows), said


def _unreadable(error: Exception) -> str:
    """What stands in a cell that was not given: a check says of it that it cannot be read, and not that its values are blank."""
    return f"{{cannot be read ({type(error).__name__})"


def _mapping(given: Any) -> dict[str, Any]:
    """Settings or results as a dict; the client wraps results."""
    values = getattr(given, "_json_dict", given)
    if not hasattr(values, "items"):
        raise TypeError("no mapping")
    return {str(key): value for key, value in values.items() if not str(key).startswith("_wandb")}


def _without_secrets(values: Any, left_out: set[str]) -> Any:
    if isinstance(values, dict):
        left_out |= {str(key) for key in values if _SECRET.search(str(key))}
        return {key: _without_secrets(value, left_out) for key, value in values.items() if not _SECRET.search(str(key))}
    return [_without_secrets(value, left_out) for value in values] if isinstance(values, list | tuple) else values


def _cause(error: Exception, source: str) -> str | None:
    said = f"{type(error).__name__} {error}".lower()
    for name in re.split("[:/]", source.lower())[1:]:
        said = re.sub(rf"\b{re.escape(name)}\b", "", said)
    return next((cause for cause, words in _CAUSES.items() if re.search(words, said)), None)


def _refuse(source: str, error: Exception) -> NoReturn:
    """Why the server does not give the runs, without what the client says where it is known: it may hold a key."""
    said = {
        "login": ("needs a key that the server takes", "log in once with `wandb login`, or set WANDB_API_KEY"),
        "access": ("may not be read with this key", "ask its owner for access, or log in as somebody who has it"),
        "absent": ("is no project that this key can see", "check entity and project in the project's address"),
        "network": ("could not be reached", "check the network, and WANDB_BASE_URL where the server is your own"),
    }
    cause = _cause(error, source)
    if cause is not None:
        rule, hint = said[cause]
    else:
        first = _LONG_WORD.sub("...", str(error).partition("\n")[0])[:_SHOWN]
        rule = f"could not be read ({type(error).__name__}{f': {first}' if first else ''})"
        hint = "export the runs as CSV from the project's table instead"
    raise InputError(rule, column=source, hint=hint) from None
