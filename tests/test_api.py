"""The public API: its names, what it costs to import, its precision, and its answers to mistakes."""

from __future__ import annotations

import doctest
import subprocess
import sys

import pandas as pd
import pytest
from processes import environment

import bayesmoe as bm
from bayesmoe.resources import resource_folder

NAMES = """
Coordinate FitSpec Gate GroupSpec InputError Law LawSpec NoiseSpec PriorSpec SamplerSpec Scenario Serving Training
backtest check compare cost decide fit laws load_fit load_plan next_runs plan plots predict read_fit_spec read_runs
read_scenario report risk save_fit save_plan sensitivity speedup workload __version__
"""

# A process of its own, as the tests' own sets JAX to double precision.
NOTEBOOK = """
import sys
import bayesmoe as bm
import bayesmoe.plots
assert not {"jax", "numpyro", "pandas", "arviz_plots", "matplotlib"} & set(sys.modules), "an import that costs nothing"
import jax, pandas as pd
df = pd.read_csv(sys.argv[1], comment="#")
dt = bm.fit(df, law="yun", sampler={"method": "laplace", "draws": 100}, progress=False)
assert dt["posterior"]["gain"].dtype == "float64"
plan = bm.plan(dt, bm.Scenario(training=bm.Training(budget_flop=5e21), serving=bm.Serving(accelerator="H100-SXM")), allow_failed=True)
assert plan["n_dense"].dtype == "float64"
(decision, *_) = bm.decide(plan, advice=False)
assert str(decision) and decision._repr_html_().startswith("<")
assert bm.plots.best_experts(plan).axes and bm.plots.fit_to_runs(dt).axes
assert not jax.config.jax_enable_x64, "the caller's setting"
assert jax.numpy.ones(1).dtype == "float32"
"""


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    return pd.read_csv(resource_folder("datasets") / "simulated-yun-grid.csv", comment="#")


def test_the_public_names_are_these_and_load() -> None:
    assert set(bm.__all__) == set(NAMES.split()) == set(dir(bm))
    assert all(getattr(bm, name) is not None for name in bm.__all__)
    with pytest.raises(AttributeError, match="nothing_like_it"):
        bm.nothing_like_it  # noqa: B018


@pytest.mark.slow
def test_a_notebook_runs_in_double_precision_and_leaves_the_callers_setting() -> None:
    path = str(resource_folder("datasets") / "simulated-yun-grid.csv")
    ended = subprocess.run(
        [sys.executable, "-c", NOTEBOOK, path], env=environment(), capture_output=True, text=True, check=False, timeout=600
    )
    assert ended.returncode == 0, ended.stderr


PUBLIC = [name for name in bm.__all__ if name not in ("laws", "plots", "__version__")]


@pytest.mark.parametrize("name", [pytest.param(name, marks=pytest.mark.slow if name == "fit" else ()) for name in PUBLIC])
def test_the_examples_of_a_docstring_are_so(name, small_fit, small_plan, scenario) -> None:
    """``dt``, ``plan`` and ``scenario`` in an example are such as the examples of ``fit``, ``plan`` and ``Scenario`` make."""
    found = doctest.DocTestParser().get_doctest(
        getattr(bm, name).__doc__, {"bm": bm, "dt": small_fit, "plan": small_plan, "scenario": scenario}, name, None, None
    )
    assert found.examples
    said: list[str] = []
    assert doctest.DocTestRunner(verbose=False).run(found, out=said.append).failed == 0, "".join(said)


@pytest.mark.parametrize(
    ("mistake", "says"),
    [
        (lambda df: bm.fit(df, law="chinchila"), "did you mean 'chinchilla'"),
        (lambda df: bm.fit(df.iloc[:0]), "has no runs"),
        (lambda df: bm.fit(df, columns={"loss": "nope"}), "nope: is mapped to 'loss' but is not in the table"),
        (lambda df: bm.fit(df, group="nope"), "is named as the group column but is not in the table"),
        (lambda df: bm.fit(3), "cannot be fitted"),
        (lambda df: bm.fit("nope.csv"), "no such file"),
        (lambda df: bm.fit(df, law=[]), "law: is empty"),
        (lambda df: bm.fit(df, sampler={"drawz": 3}), "did you mean 'draws'"),
        (lambda df: bm.fit(df, noise=["foo"]), "should be 'loss', 'ratio' or 'seed'"),
        (lambda df: bm.LawSpec(name="yun", priors={"gain": 3}), "priors.gain"),
        (
            lambda df: bm.FitSpec(law=bm.LawSpec(name="kaplan"), average={"laws": ("yun", "clark")}),
            "leave them out of an average",
        ),
        (lambda df: bm.Scenario(), "training: is required"),
    ],
)
def test_a_mistake_is_one_sentence(table, mistake, says) -> None:
    with pytest.raises(bm.InputError) as caught:
        mistake(table)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)
