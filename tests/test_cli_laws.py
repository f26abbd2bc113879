"""``bayesmoe laws``: list, show, and one sentence for bad input."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from bayesmoe.hyperparameters import all_hyperparameter_laws
from bayesmoe.laws import all_laws

JOINT = ((6.4e13 / 1e9) ** (0.076 / 0.103) + 1.8e13 / 4.6e10) ** 0.103
"""Kaplan's joint law at 1e9 parameters and 4.6e10 tokens, nats per token."""


@pytest.fixture
def laws(bayesmoe):
    """Run ``bayesmoe laws``."""
    return lambda *arguments: bayesmoe("laws", *arguments)


def test_list_has_a_line_for_each(laws):
    code, out, err = laws("list")
    assert (code, err) == (0, "")
    names = [law.name for law in all_laws] + [f"hyper/{law.name}" for law in all_hyperparameter_laws]
    assert [line.split()[0] for line in out.splitlines()] == names
    assert "kaplan                      L = [(N_c/N)^(alpha_N/alpha_D) + D_c/D]^alpha_D        Kaplan et al. 2020, " in out


@pytest.mark.parametrize("name", ["kaplan", "yun", "tian-leverage", "nested"])
def test_show(laws, name):
    law = next(law for law in all_laws if law.name == name)
    code, out, err = laws("show", name)
    assert (code, err) == (0, "")
    for said in (
        law.equation,
        law.source,
        *(c.name for c in law.coordinates),
        *law.symbols,
        *(p.name for p in law.published),
    ):
        assert said in out
    assert "typical run of n_dense 3e+08, tokens 1e+10, num_experts 16, top_k 2" in out.replace("\n  ", " ")


def test_show_at_a_run(laws):
    code, out, err = laws("show", "kaplan", "--at", "n_total=1e9", "--at", "tokens=4.6e10")
    assert (code, err) == (0, "")
    assert out.splitlines()[-3:] == [
        "loss at n_total 1e+09, tokens 4.6e+10",
        f"  joint  {JOINT:.4g}  nats/token",
        "warning: tokens 4.6e+10 lies above the runs behind kaplan (2.2e+07 to 2.3e+10), by a factor of 2.",
    ]


def test_show_at_a_run_as_json(laws):
    code, out, err = laws("show", "kaplan", "--at", "n_total=1e9", "--at", "tokens=4.6e10", "--json")
    assert (code, err) == (0, "")
    found = json.loads(out, parse_constant=pytest.fail)
    assert (found["schema"], found["schema_version"]) == ("bayesmoe.law", 2)
    assert found["published_at_run"] == [{"published": "joint", "loss_nats_per_token": pytest.approx(JOINT, rel=1e-9)}]
    assert found["run"][0] == {"column": "n_total", "unit": "parameters", "value": 1e9}
    assert found["warnings"] == ["tokens 4.6e+10 lies above the runs behind kaplan (2.2e+07 to 2.3e+10), by a factor of 2."]


def test_show_a_hyperparameter_law_at_a_run(laws):
    code, out, err = laws("show", "hyper/step-law-bootstrap", "--at", "n_total=5e8", "--at", "tokens=2e10")
    assert (code, err) == (0, "")
    assert "learning_rate = 0.001711 (n_total/4.801e+08)^-0.7129 (tokens/2e+10)^0.3075" in out
    assert "at n_total 5e+08, tokens 2e+10: value (90% interval)" in out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (
            ["kaplam"],
            "law: is not a known law, found 'kaplam'; did you mean 'kaplan'? (your own: package.module:MyLaw).",
        ),
        (["hyper/step"], "hyperparameter_law: is not a known hyperparameter law, found 'step'; did you mean 'step-law'?"),
        (["kaplan", "--at", "n_total"], "--at: must be COLUMN=VALUE, such as tokens=2e10, found 'n_total'."),
        (["kaplan", "--at", "n_total=1e9"], "--at tokens: is needed by the law 'kaplan'; add --at tokens=VALUE."),
        (["kaplan", "--at", "token=1e9"], "--at token: is not read by the law 'kaplan'; did you mean 'tokens'?"),
        (
            ["kaplan", "--at", "n_total=1B"],
            "--at n_total: must be a number, found '1B'; write a plain number such as 2.5e9, without a unit.",
        ),
        (
            ["kaplan", "--at", "n_total=1e9", "--at", "tokens=20"],
            "--at tokens: must be at least 1e+05, found 20.0; it looks like billions of tokens: multiply the column by 1e9 "
            "(2e+10 tokens).",
        ),
        (["hyper/kaplan", "--at", "tokens=1e9"], "--at tokens: is not read by the law 'kaplan'; known: loss."),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_input(laws, arguments, says):
    assert laws("show", *arguments) == (2, "", f"bayesmoe: {says}\n")


@pytest.mark.parametrize("arguments", [["--help"], ["laws", "--help"], ["laws", "show", "--help"]], ids=" ".join)
@pytest.mark.few(1)
def test_help_does_not_wait_for_jax(arguments):
    script = (
        "import sys; from bayesmoe.cli import main\n"
        "try: main()\n"
        "except SystemExit as ended: assert not ended.code\n"
        "print('LOADED', *({'jax', 'numpyro', 'pandas'} & set(sys.modules)))"
    )
    ended = subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True, text=True, check=True)
    assert ended.stdout.splitlines()[-1] == "LOADED"
