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

ROOT = Path(__file__).parents[1]
SHORT = 90
FIGURE = re.compile(r"\]\((figures/[\w-]+\.(?:png|svg))\)")

API = {
    "Runs": (
        "bayesmoe.runs",
        ["read_runs", "as_run_table", "read_models", "fetch", "load_source", "registered", "RunTable"],
    ),
    "Laws": ("bayesmoe.laws", ["law_named", "Law", "Coordinate", "Published", "Reference"]),
    "Specs": (
        "bayesmoe.inference.spec",
        ["read_fit_spec", "spec_from", "load_table", "FitSpec", "SamplerSpec", "GroupSpec"],
    ),
    "Fit": ("bayesmoe.fitting", ["fit"]),
    "Fits on disk": ("bayesmoe.inference.store", ["save_fit", "load_fit", "FitInfo", "reference_of_fit"]),
    "Predict": ("bayesmoe.inference.predict", ["predict"]),
    "Gate": ("bayesmoe.criticism.gate", ["check", "Gate", "Check"]),
    "Compare": ("bayesmoe.criticism.compare", ["compare"]),
    "Average": ("bayesmoe.forecasting.fit_average", ["fit_average"]),
    "Backtest": ("bayesmoe.forecasting.backtest", ["backtest", "held_out", "forward_masks", "Backtest"]),
    "Calibrate": ("bayesmoe.criticism.sbc", ["simulation_ranks", "ranks_of", "calibration"]),
    "Cluster": ("bayesmoe.criticism.cluster", ["finished_blocks"]),
    "Architectures": ("bayesmoe.architecture", ["Shape", "read_shape", "public_shape"]),
    "Cost": ("bayesmoe.costs.cost", ["cost", "bands"]),
    "Measured serving points": ("bayesmoe.costs.serving_measurements", ["read_points", "Points"]),
    "Calibrate serving": ("bayesmoe.costs.serving.fit_calibration", ["calibrate_serving"]),
    "Latency tables": ("bayesmoe.costs.serving", ["read_latency_table", "TableLatency"]),
    "Scenarios": (
        "bayesmoe.planning.scenario",
        ["read_scenario", "Scenario", "ChoicesSpec", "ArchitectureSpec", "LimitsSpec"],
    ),
    "Training and serving": ("bayesmoe.costs.workload", ["TrainingSpec", "ServingSpec"]),
    "Plan": ("bayesmoe.planning.planner", ["plan"]),
    "A plan's file": ("bayesmoe.planning.store", ["PlanInfo", "save_plan", "load_plan"]),
    "Risk": ("bayesmoe.decisions.risk", ["risk"]),
    "Next run": ("bayesmoe.decisions.next_run", ["next_runs"]),
    "Sensitivity": ("bayesmoe.decisions.sensitivity", ["sensitivity"]),
    "Report": ("bayesmoe.reporting.build", ["report", "figures", "save_report"]),
    "Gallery": ("bayesmoe.demo.gallery", ["gallery", "save_figures"]),
    "Plots": ("bayesmoe.plots", ["best_experts", "cost_against_loss", "fit_to_runs", "loss_by_experts", "over_training"]),
}
"""What a script needs, by module."""


def all_pages() -> dict[str, str]:
    """Markdown of every generated page by its place in the site."""
    return {
        "index.md": start_page(),
        "commands.md": commands_page(),
        "api.md": api_page(),
        "examples.md": examples_page(),
        **pages_of_laws.law_pages(),
    }


def figures() -> dict[str, Path]:
    """Figures of the README's beginning, by their place in the site."""
    return {name: ROOT / name for name in FIGURE.findall(_beginning())}


def _beginning() -> str:
    """The README up to its second heading: what, who and two commands."""
    parts = re.split(r"^(?=## )", (ROOT / "README.md").read_text(encoding="utf-8"), flags=re.MULTILINE)
    return "".join(parts[:2])


START = """
## Where to go

- [Tutorial](tutorial.md): Clark's real runs, from fetching them to a report.
- [How to](how-to/index.md): one page for each task, from your own table to a cluster.
- [Laws](laws/index.md), [commands](commands.md), [Python](api.md), [JSON documents](json.md), [examples](examples.md): reference.
- [Backtests](backtests.md) and the pages beside it: how far to believe the answers.
- [Design](design.md): how the code is laid out, and why.
"""


def start_page() -> str:
    """The beginning of the README, and where to go from there."""
    return re.sub(r"\]\(docs/", "](", _beginning()).rstrip() + "\n" + START


def api_page() -> str:
    """Signatures and docstrings of what a script needs."""
    said = [
        "# Python",
        'Set `jax.config.update("jax_enable_x64", True)` before anything else; the commands do so for you. Bad input raises '
        "`bayesmoe.errors.InputError`, whose message says file, row, column, rule, value and cure as far as they are known.",
    ]
    for title, (module, names) in API.items():
        found = importlib.import_module(module)
        said += [f"## {title}", f"`from {module} import {', '.join(names)}`"]
        for name in names:
            said += [
                f"### {name}",
                f"```python\n{_signature(name, getattr(found, name))}\n```",
                markdown(getattr(found, name)),
            ]
    return "\n\n".join(said) + "\n"


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
