"""Bayesian scaling laws for Mixture-of-Experts models, from a table of runs to a risk-aware plan.

>>> import bayesmoe as bm  # doctest: +SKIP
>>> dt = bm.fit(df, law="average", group="recipe")  # doctest: +SKIP
>>> plan = bm.plan(dt, bm.read_scenario("scenario.toml"))  # doctest: +SKIP
>>> bm.decide(plan)  # doctest: +SKIP
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from bayesmoe import laws as laws
    from bayesmoe import plots as plots
    from bayesmoe.costs.cost import cost as cost
    from bayesmoe.costs.training_budget import Training as Training
    from bayesmoe.costs.workload import Serving as Serving
    from bayesmoe.criticism.compare import compare as compare
    from bayesmoe.criticism.gate import check as check
    from bayesmoe.decisions.decide import decide as decide
    from bayesmoe.decisions.next_run import next_runs as next_runs
    from bayesmoe.decisions.risk import risk as risk
    from bayesmoe.decisions.sensitivity import sensitivity as sensitivity
    from bayesmoe.decisions.speedup import speedup as speedup
    from bayesmoe.errors import InputError as InputError
    from bayesmoe.fitting import fit as fit
    from bayesmoe.forecasting.backtest import backtest as backtest
    from bayesmoe.inference.gate import Gate as Gate
    from bayesmoe.inference.predict import predict as predict
    from bayesmoe.inference.spec import FitSpec as FitSpec
    from bayesmoe.inference.spec import GroupSpec as GroupSpec
    from bayesmoe.inference.spec import LawSpec as LawSpec
    from bayesmoe.inference.spec import NoiseSpec as NoiseSpec
    from bayesmoe.inference.spec import PriorSpec as PriorSpec
    from bayesmoe.inference.spec import read_fit_spec as read_fit_spec
    from bayesmoe.inference.store import load_fit as load_fit
    from bayesmoe.inference.store import save_fit as save_fit
    from bayesmoe.laws import Coordinate as Coordinate
    from bayesmoe.laws import Law as Law
    from bayesmoe.planning.planner import plan as plan
    from bayesmoe.planning.reading import read_scenario as read_scenario
    from bayesmoe.planning.scenario import Scenario as Scenario
    from bayesmoe.planning.store import load_plan as load_plan
    from bayesmoe.planning.store import save_plan as save_plan
    from bayesmoe.planning.workloads import workload as workload
    from bayesmoe.reporting.build import report as report
    from bayesmoe.runs import read_runs as read_runs
    from bayesmoe.sampling.settings import SamplerSpec as SamplerSpec

_HOME = {
    "Coordinate": "laws",
    "FitSpec": "inference.spec",
    "Gate": "inference.gate",
    "GroupSpec": "inference.spec",
    "InputError": "errors",
    "Law": "laws",
    "LawSpec": "inference.spec",
    "NoiseSpec": "inference.spec",
    "PriorSpec": "inference.spec",
    "SamplerSpec": "sampling.settings",
    "Scenario": "planning.scenario",
    "Serving": "costs.workload",
    "Training": "costs.training_budget",
    "backtest": "forecasting.backtest",
    "check": "criticism.gate",
    "compare": "criticism.compare",
    "cost": "costs.cost",
    "decide": "decisions.decide",
    "fit": "fitting",
    "laws": "",
    "load_fit": "inference.store",
    "load_plan": "planning.store",
    "next_runs": "decisions.next_run",
    "plan": "planning.planner",
    "plots": "",
    "predict": "inference.predict",
    "read_fit_spec": "inference.spec",
    "read_runs": "runs",
    "read_scenario": "planning.reading",
    "report": "reporting.build",
    "risk": "decisions.risk",
    "save_fit": "inference.store",
    "save_plan": "planning.store",
    "sensitivity": "decisions.sensitivity",
    "speedup": "decisions.speedup",
    "workload": "planning.workloads",
}
"""Module of each public name; loaded when the name is first used, so that ``import bayesmoe`` costs nothing."""

__all__ = [*_HOME, "__version__"]


def __getattr__(name: str) -> Any:
    """Load a public name."""
    if name not in _HOME:
        raise AttributeError(f"module 'bayesmoe' has no attribute {name!r}")
    home = _HOME[name]
    if not home:
        return importlib.import_module(f"bayesmoe.{name}")
    named = getattr(importlib.import_module(f"bayesmoe.{home}"), name)
    globals()[name] = named
    return named


def __dir__() -> list[str]:
    """List the public names."""
    return sorted(__all__)
