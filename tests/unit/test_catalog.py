"""The catalog: every law's document is strict JSON, complete, and warns where the runs behind the paper end."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest

from bayesmoe.catalog import catalog, formula, outside_fitted_range, run_from
from bayesmoe.documents.law import TYPICAL, HyperparameterLawDocument, LawDocument, document_of
from bayesmoe.errors import InputError
from bayesmoe.hyperparameters import all_hyperparameter_laws, hyperparameter_law_named
from bayesmoe.laws import Coordinate, Law, all_laws, law_named
from bayesmoe.reporting.law_text import catalog_text, document_text
from bayesmoe.terminal import line_width

INSIDE = {
    "real": lambda x: True,
    "positive": lambda x: x > 0,
    "above_one": lambda x: x > 1,
    "unit": lambda x: 0 < x < 1,
}
RUN = {
    "n_dense": 3e8,
    "n_active": 4e8,
    "n_total": 1.8e9,
    "tokens": 1e10,
    "num_experts": 16.0,
    "top_k": 2.0,
    "shared_experts": 1.0,
    "granularity": 4.0,
    "activation_ratio": 0.125,
    "train_flop": 2.4e19,
    "d_model": 1024.0,
    "num_layers": 24.0,
    "loss": 2.5,
}
every_law = pytest.mark.parametrize("kind", all_laws, ids=lambda kind: kind.name)
every_hyperparameter_law = pytest.mark.parametrize("law", all_hyperparameter_laws, ids=lambda law: law.name)


def strict(found: LawDocument | HyperparameterLawDocument) -> dict:
    """The document after a trip through strict JSON."""
    return json.loads(found.as_json(), parse_constant=pytest.fail)


def test_the_catalog_has_every_law_once() -> None:
    names = [row.name for row in catalog()]
    assert names == [law.name for law in all_laws] + [f"hyper/{law.name}" for law in all_hyperparameter_laws]
    assert len(set(names)) == len(names)
    lines = catalog_text(catalog()).splitlines()
    assert [line.split()[0] for line in lines] == names
    assert max(map(len, lines)) <= line_width()


@every_law
@pytest.mark.few(8)
def test_a_document_is_strict_json_and_complete(kind) -> None:
    law = kind()
    document = LawDocument.of(law, {name: RUN[name] for name in law.covariates})
    found = strict(document)
    assert found == document.as_dict()
    assert [c["column"] for c in found["columns"]] == list(law.covariates)
    assert all(c["unit"] and c["meaning"] for c in found["columns"])
    assert [c["coordinate"] for c in found["coordinates"]] == [c.name for c in law.coordinates]
    assert [p["parameter"] for p in found["parameters"]] == list(law.symbols)
    assert {p["parameter"]: p["unit"] for p in found["parameters"]} == law.symbols
    assert [p["name"] for p in found["published"]] == [p.name for p in law.published]
    assert [r["column"] for r in found["fitted_range"]] == list(law.fitted_range)
    assert [at["published"] for at in found["published_at_run"]] == [p.name for p in law.published]


@every_law
def test_priors_lie_inside_their_supports(kind) -> None:
    found = LawDocument.of(kind()).as_dict()
    for coordinate in found["coordinates"]:
        prior = coordinate["prior"]
        assert prior["q05"] < prior["q50"] < prior["q95"]
        assert all(INSIDE[coordinate["support"]](value) for value in prior.values())
    for parameter in found["parameters"]:
        prior = parameter["prior"]
        assert prior["q05"] <= prior["q50"] <= prior["q95"]


@every_law
def test_without_a_run_there_is_nothing_at_one(kind) -> None:
    found = LawDocument.of(kind()).as_dict()
    assert (found["run"], found["published_at_run"], found["warnings"]) == (None, [], [])


@every_law
@pytest.mark.few(8)
def test_text_fits_the_terminal(kind) -> None:
    law = kind()
    lines = document_text(LawDocument.of(law, {name: RUN[name] for name in law.covariates})).splitlines()
    assert lines[0] == law.name
    assert max(map(len, lines)) <= line_width()
    assert not any(line.endswith(" ") for line in lines)


def test_priors_of_a_coordinate_are_exact_quantiles() -> None:
    found = next(
        c for c in LawDocument.of(law_named("kaplan")).as_dict()["coordinates"] if c["coordinate"] == "loss_reference"
    )
    factor = math.exp(1.6448536269514722 * 0.35)
    assert found["prior"] == pytest.approx({"q05": 2.7 / factor, "q50": 2.7, "q95": 2.7 * factor}, rel=1e-9)


def test_a_parameter_that_is_a_coordinate_inherits_its_prior() -> None:
    found = LawDocument.of(law_named("clark")).as_dict()
    coordinate = next(c for c in found["coordinates"] if c["coordinate"] == "e_start")
    parameter = next(p for p in found["parameters"] if p["parameter"] == "e_start")
    assert parameter["prior"] == pytest.approx(coordinate["prior"], rel=0.1)


def test_the_typical_run_is_said() -> None:
    found = LawDocument.of(law_named("zhao")).as_dict()
    assert {v["column"]: v["value"] for v in found["parameters_typical_run"]} == TYPICAL
    run = {v["column"]: v["value"] for v in found["parameters_reference_run"]}
    assert run == {
        "n_total": pytest.approx(2.55e9),
        "n_active": pytest.approx(4.5e8),
        "tokens": 1e10,
        "top_k": 2,
        "shared_experts": 0,
    }


def test_a_published_set_gives_its_loss() -> None:
    found = document_of("chinchilla", ["n_total=1e9", "tokens=2e10"]).as_dict()
    assert found["published_at_run"] == [
        {"published": "hoffmann", "loss_nats_per_token": pytest.approx(2.53067, rel=1e-5)},
        {"published": "besiroglu", "loss_nats_per_token": pytest.approx(2.52921, rel=1e-5)},
    ]
    assert found["warnings"] == []


def test_leverage_is_a_ratio() -> None:
    found = document_of("tian-leverage", ["train_flop=1e20", "activation_ratio=0.03125", "granularity=24"]).as_dict()
    assert list(found["published_at_run"][0]) == ["published", "leverage_ratio"]


# Ranges


@pytest.mark.parametrize(
    ("name", "run", "says"),
    [
        ("kaplan", {"n_total": 1.5e9, "tokens": 2.2e7}, ()),
        ("kaplan", {"n_total": 1.4999e9, "tokens": 2.2001e7}, ()),
        (
            "kaplan",
            {"n_total": 1.501e9, "tokens": 1e10},
            ("n_total 1.501e+09 lies above the runs behind kaplan (768 to 1.5e+09), by a factor of less than 1.01.",),
        ),
        (
            "kaplan",
            {"n_total": 1.5e10, "tokens": 1.1e7},
            (
                "n_total 1.5e+10 lies above the runs behind kaplan (768 to 1.5e+09), by a factor of 10.",
                "tokens 1.1e+07 lies below the runs behind kaplan (2.2e+07 to 2.3e+10), by a factor of 2.",
            ),
        ),
        ("gadre", {"n_total": 1e9, "tokens": 6.4e11}, ()),
        (
            "gadre",
            {"n_total": 1e9, "tokens": 1.28e12},
            ("tokens_per_parameter 1280 lies above the runs behind gadre (5 to 640), by a factor of 2.",),
        ),
        ("ludziejewski", {"n_active": 1e5, "tokens": 1e9, "num_experts": 1.0}, ()),
        (
            "ludziejewski",
            {"n_active": 5.4e9, "tokens": 1e9, "num_experts": 1.0},
            ("n_active 5.4e+09 lies above the runs behind ludziejewski (up to 2.7e+09), by a factor of 2.",),
        ),
        (
            "clark",
            {"n_dense": 1e8, "num_experts": 8.0, "tokens": 2.6e11},
            ("tokens 2.6e+11 lies above the runs behind clark (all at 1.3e+11), by a factor of 2.",),
        ),
        (
            "flame",
            {"n_active": 1e9, "tokens": 1e11},
            ("train_flop 6e+20 lies above the runs behind flame (1e+18 to 1e+20), by a factor of 6.",),
        ),
        ("nested", {"n_total": 1e15, "tokens": 1e7}, ()),
    ],
)
def test_range_warnings(name, run, says) -> None:
    assert outside_fitted_range(law_named(name), run) == says
    assert LawDocument.of(law_named(name), run).as_dict()["warnings"] == list(says)


def test_a_range_with_no_lower_end_has_none() -> None:
    ranges = {
        r["column"]: (r["low"], r["high"]) for r in LawDocument.of(law_named("ludziejewski")).as_dict()["fitted_range"]
    }
    assert ranges["n_active"] == (None, 2.7e9)


# Runs


@pytest.mark.parametrize(
    ("name", "pairs", "says"),
    [
        ("kaplan", ["tokens"], "--at: must be COLUMN=VALUE, such as tokens=2e10, found 'tokens'."),
        ("kaplan", ["=2e10"], "--at: must be COLUMN=VALUE, such as tokens=2e10, found '=2e10'."),
        ("kaplan", ["token=2e10"], "--at token: is not read by the law 'kaplan'; did you mean 'tokens'?"),
        ("kaplan", ["granularity=4"], "--at granularity: is not read by the law 'kaplan'; known: n_total, tokens."),
        ("kaplan", ["tokens=many"], "--at tokens: must be a number, found 'many'; write a plain number such as 2.5e9, without a unit."),
        ("kaplan", ["tokens=nan"], "--at tokens: must be a finite number, found 'nan'; write one such as 2.5e9."),
        ("kaplan", ["tokens=2e10"], "--at n_total: is needed by the law 'kaplan'; add --at n_total=VALUE."),
        ("kaplan", ["tokens=2e10", "tokens=3e10"], "--at tokens: is given twice, found 'tokens=3e10'; keep one of the two."),
        (
            "kaplan",
            ["n_total=1e9", "tokens=20"],
            "--at tokens: must be at least 1e+05, found 20.0; it looks like billions of tokens: multiply the column by 1e9 (2e+10 tokens).",
        ),
        ("kaplan", ["n_total=-1", "tokens=1e9"], "--at n_total: must be positive, found -1.0; give parameters."),
        (
            "hossain",
            ["n_total=1e9", "n_active=2e9", "tokens=1e9"],
            "--at n_active: must be at most n_total (1e+09), found 2000000000.0; swap the columns or correct the counts: both without embeddings.",
        ),
    ],
)  # fmt: skip
def test_bad_runs(name, pairs, says) -> None:
    with pytest.raises(InputError) as error:
        run_from(pairs, law_named(name))
    assert str(error.value) == says


def test_a_run_may_name_other_columns_of_the_range() -> None:
    run = run_from(["n_dense=1e8", "num_experts=8", " tokens = 1.3e11 "], law_named("clark"))
    assert run == {"n_dense": 1e8, "num_experts": 8.0, "tokens": 1.3e11}


# Laws of one's own


@dataclass(frozen=True)
class Own(Law):
    """``L = a x^-b`` of a column x that run tables do not have."""

    name: ClassVar[str] = "own"
    source: ClassVar[str] = "this test"
    equation: ClassVar[str] = "L = a x^-b"
    coordinates: ClassVar[tuple[Coordinate, ...]] = (
        Coordinate("a", "positive", 0.0, 1.0, 0.1, "dense", "nats/token", "amplitude"),
        Coordinate("b", "positive", -3.0, 1.0, 0.1, "dense", "1", "exponent"),
    )

    @property
    def covariates(self) -> tuple[str, ...]:
        return ("x",)

    def loss(self, parameters, run):
        return parameters["a"] * run["x"] ** -parameters["b"]


class OwnDense(Own):
    """The same of a column that they have."""

    @property
    def covariates(self) -> tuple[str, ...]:
        return ("tokens",)


def test_a_law_of_a_column_of_ones_own() -> None:
    document = document_of(f"{__name__}:Own", ["x=2"])
    found = strict(document)
    assert found["columns"] == [{"column": "x", "unit": "", "meaning": "a column of your own"}]
    assert (found["size_column"], found["parameters_reference_run"], found["parameters"]) == (None, None, [])
    assert "a typical run lacks a column" in document_text(document)
    assert "none: no coefficients are published" in document_text(document)


def test_a_law_whose_coordinates_are_its_parameters() -> None:
    found = LawDocument.of(OwnDense()).as_dict()
    assert [(p["parameter"], p["unit"]) for p in found["parameters"]] == [("a", "nats/token"), ("b", "1")]
    assert found["parameters"][0]["prior"]["q50"] == pytest.approx(1.0, rel=0.1)


# Hyperparameter laws


@every_hyperparameter_law
def test_a_hyperparameter_document_is_strict_json_and_complete(law) -> None:
    run = {name: RUN[name] for name in law.inputs}
    document = HyperparameterLawDocument.of(law, run)
    found = strict(document)
    assert found == document.as_dict()
    assert [c["column"] for c in found["columns"]] == list(law.inputs)
    assert [q["quantity"] for q in found["quantities"]] == [one.quantity for one in law.laws]
    for at, one in zip(found["quantities_at_run"], law.laws, strict=True):
        assert at["value"] == pytest.approx(float(one.value(**{name: run[name] for name in one.inputs})))
        assert (at["q05"] is None) == (one.spread == "not published")
        assert at["q05"] is None or at["q05"] < at["value"] < at["q95"]
    assert found["warnings"] == list(law.outside_fitted_range(**run))
    lines = document_text(document).splitlines()
    assert lines[0] == f"hyper/{law.name}"
    assert max(map(len, lines)) <= line_width()


def test_formulas_are_written_with_their_numbers() -> None:
    step, bootstrap = hyperparameter_law_named("step-law"), hyperparameter_law_named("step-law-bootstrap")
    assert formula(step.law_for("learning_rate")) == "learning_rate = 1.79 n_total^-0.713 tokens^0.307"
    assert formula(bootstrap.law_for("batch_tokens")).endswith(" (tokens/2e+10)^0.5709")


def test_hyper_may_be_left_out_where_it_is_clear() -> None:
    assert (
        document_of("step-law").as_dict()["schema"]
        == document_of("hyper/step-law").as_dict()["schema"]
        == "bayesmoe.hyperparameter_law"
    )
    assert document_of("kaplan").as_dict()["schema"] == "bayesmoe.law"
    assert document_of("hyper/kaplan").as_dict()["schema"] == "bayesmoe.hyperparameter_law"


def test_the_spread_at_a_run_is_that_of_draws() -> None:
    law = hyperparameter_law_named("step-law-bootstrap")
    run = {"n_total": 1e10, "tokens": 1e12}
    at = HyperparameterLawDocument.of(law, run).as_dict()["quantities_at_run"][0]
    draws = law.law_for("learning_rate").draws(np.random.default_rng(0), 20_000, **run)
    assert np.quantile(draws, [0.05, 0.95]) == pytest.approx([at["q05"], at["q95"]], rel=0.02)
