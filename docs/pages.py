"""Pages of the site that are made from the code: start, laws, commands, Python API, examples.

``docs/hooks.py`` hands them to mkdocs. What is measured is made by the ``make_*.py`` scripts instead and kept.
"""

from __future__ import annotations

import importlib
import inspect
import re
from pathlib import Path
from typing import Any

import pages_of_laws
from docstrings import markdown
from pages_of_commands import commands_page

import bayesmoe as bm

ROOT = Path(__file__).parents[1]
SHORT = 90

MORE = {
    "bayesmoe.runs": ["read_models", "as_run_table", "fetch", "registered"],
    "bayesmoe.architecture": ["Shape", "read_shape", "public_shape"],
    "bayesmoe.costs.cost": ["bands"],
    "bayesmoe.costs.serving.fit_calibration": ["calibrate_serving"],
    "bayesmoe.costs.training.fit_calibration": ["calibrate_training"],
    "bayesmoe.costs.training.throughput": ["seconds_per_token"],
    "bayesmoe.criticism.sbc": ["simulation_ranks", "ranks_of", "calibration"],
    "bayesmoe.criticism.cluster": ["finished_blocks"],
    "bayesmoe.documents": ["PlanDocument"],
    "bayesmoe.laws.repetition": ["Repeated", "repeated", "effective_tokens", "effective_size", "decay_of_density"],
    "bayesmoe.demo.gallery": ["gallery", "save_figures"],
}
"""What some scripts need besides the public names, by module."""


def all_pages() -> dict[str, str]:
    """Markdown of every generated page by its place in the site."""
    return {
        "index.md": start_page(),
        "commands.md": commands_page(),
        "api.md": api_page(),
        "examples.md": examples_page(),
        **pages_of_laws.law_pages(),
    }


def attached() -> dict[str, Path]:
    """Files that pages link to, by their place in the site."""
    return {"quickstart.ipynb": ROOT / "examples" / "quickstart.ipynb"}


ON_START = ("# ", "## Install", "## A real result")
"""Parts of the README that the start page repeats."""

START = """
## Where to go

- [Tutorial](tutorial.md): Clark's real runs, from fetching them to a report.
- [How to](how-to/index.md): one page for each task, from your own table to a cluster.
- [Laws](laws/index.md), [commands](commands.md), [Python](api.md), [JSON documents](json.md), [examples](examples.md): reference.
- [Backtests](backtests.md) and the pages beside it: how far to believe the answers.
- [Design](design.md): how the code is laid out, and why.
"""


def start_page() -> str:
    """What the README begins with, and where to go from there."""
    parts = re.split(r"^(?=## )", (ROOT / "README.md").read_text(encoding="utf-8"), flags=re.MULTILINE)
    shown = "".join(part for part in parts if part.startswith(ON_START))
    return re.sub(r"\]\(docs/", "](", shown).rstrip() + "\n" + START


def api_page() -> str:
    """Signatures and docstrings of the public names, the plots, and what some scripts need besides."""
    public = {name: getattr(bm, name) for name in sorted(bm.__all__, key=str.lower)}
    kinds = {
        "Functions": {name: one for name, one in public.items() if inspect.isfunction(one)},
        "Classes": {name: one for name, one in public.items() if inspect.isclass(one)},
        "Plots": {f"plots.{name}": getattr(bm.plots, name) for name in bm.plots.__all__},
    }
    said = [
        "# Python",
        "`import bayesmoe as bm`. Calculations are in double precision whatever JAX is set to, which stays as it was. Bad input raises "
        "`bm.InputError`, whose message says file, row, column, rule, value and hint as far as they are known. `bm.laws` has the "
        "[laws](laws/index.md).",
    ]
    for title, named in kinds.items():
        said.append(f"## {title}")
        for name, one in named.items():
            said += _entry(f"bm.{name}", one)
    said.append("## Elsewhere")
    for module, names in MORE.items():
        for name in names:
            said += _entry(f"{module}.{name}", getattr(importlib.import_module(module), name))
    return "\n\n".join(said) + "\n"


def _entry(path: str, documented: Any) -> list[str]:
    return [f"### {path}", f"```python\n{_signature(path.rsplit('.', 1)[-1], documented)}\n```", markdown(documented)]


def _signature(name: str, documented: Any) -> str:
    signature = inspect.signature(documented)
    parts: list[str] = []
    for one in signature.parameters.values():
        if one.kind is one.KEYWORD_ONLY and "*" not in parts:
            parts.append("*")
        parts.append(_parameter(one))
    short = ", ".join(parts)
    inside = short if len(short) < SHORT else "\n    " + ",\n    ".join(parts) + ",\n"
    returned = signature.return_annotation
    arrow = f" -> {returned}" if isinstance(returned, str) and not isinstance(documented, type) else ""
    return f"{name}({inside}){arrow}"


def _parameter(one: inspect.Parameter) -> str:
    stars = {one.VAR_POSITIONAL: "*", one.VAR_KEYWORD: "**"}.get(one.kind, "")
    kind = one.annotation if isinstance(one.annotation, str) else getattr(one.annotation, "__name__", str(one.annotation))
    written = f"{stars}{one.name}" + ("" if one.annotation is one.empty else f": {kind}")
    if one.default is one.empty:
        return written
    # A default without a readable form, such as a lambda.
    return f"{written} = {'...' if '<' in repr(one.default) else repr(one.default)}"


def examples_page() -> str:
    """The table of the examples' README, and every script."""
    folder = ROOT / "examples"
    said = [(folder / "README.md").read_text(encoding="utf-8").rstrip()]
    for path in sorted(folder.glob("*.py")):
        said += [f"## {path.name}", f"```python\n{path.read_text(encoding='utf-8').rstrip()}\n```"]
    return "\n\n".join(said) + "\n"
