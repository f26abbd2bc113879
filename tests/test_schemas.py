"""Every document that ``--json`` prints obeys its schema in ``docs/schemas``, and has no key that the schema does not know."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from bayesmoe.catalog import HYPER
from bayesmoe.documents import all_documents
from bayesmoe.documents.law import document_of
from bayesmoe.hyperparameters import all_hyperparameter_laws
from bayesmoe.inference.store import save_fit
from bayesmoe.laws import all_laws
from bayesmoe.planning.problems import all_problems
from bayesmoe.resources import resource_folder

DOCS = Path(__file__).parents[1] / "docs"
RUNS = resource_folder("datasets") / "simulated-yun-grid.csv"
YUN = (resource_folder("models") / "scenarios" / "yun-2024.toml").read_text()
FEW = YUN.replace("[choices]", "[choices]\nnum_experts = [1, 16]").replace(
    "baseline_num_experts = 4", "baseline_num_experts = 1"
)
ONE_PROBLEM = f'problems = ["lowest_loss"]\n{FEW}'
EVERY_PROBLEM = f"""problems = {json.dumps([each.name for each in all_problems])}
{FEW.replace("[serving]", "[serving]\nmax_tpot_s = 0.1")}
[limits]
memory_bytes = 80e9
n_total_parameters = 2e10
output_tokens_per_s = 100
unique_tokens = 8e12
max_epochs = 2
"""
MESSY = "run_id,loss,n_dense,tokens,num_experts,learning_rate,mood\na,2.4,1e8,2e9,1,1e-3,x\nb,2.5,1e8,2e9,1,2e-3,y\nc,24,2e8,2e9,4,1e-3,\n"


def strict(schema: Any) -> Any:
    """The same schema, without room for unknown keys."""
    if isinstance(schema, list):
        return [strict(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {"additionalProperties": False} if "properties" in schema else {}
    return closed | {key: strict(value) for key, value in schema.items()}


def require(found: dict[str, Any]) -> None:
    """Hold a document against the schema that it names."""
    name = f"{found['schema'].removeprefix('bayesmoe.')}.v{found['schema_version']}.json"
    schema = json.loads((DOCS / "schemas" / name).read_text())
    Draft202012Validator.check_schema(schema)
    errors = [
        f"{error.json_path}: {error.message[:200]}" for error in Draft202012Validator(strict(schema)).iter_errors(found)
    ]
    assert not errors, errors[:5]


@pytest.fixture(scope="module")
def folder(tmp_path_factory, small_fit) -> Path:
    """A fit, scenarios, models and runs."""
    folder = tmp_path_factory.mktemp("schemas")
    for name in ("fit.nc", "again.nc"):
        save_fit(small_fit, folder / name)
    (folder / "shipped.toml").write_text(YUN)
    (folder / "few.toml").write_text(ONE_PROBLEM)
    (folder / "unpriced.toml").write_text(ONE_PROBLEM.replace("lifetime_tokens", "# lifetime_tokens"))
    (folder / "every.toml").write_text(EVERY_PROBLEM)
    (folder / "models.csv").write_text("run_id,n_dense,tokens,num_experts\nbig,1e9,4e10,8\n")
    (folder / "messy.csv").write_text(MESSY)
    return folder


@pytest.fixture
def printed(bayesmoe, folder, tmp_path, monkeypatch):
    """Run a command with --json in that folder, and return the document."""
    monkeypatch.chdir(folder)

    def run(*arguments: object) -> dict[str, Any]:
        ended = bayesmoe(*(str(tmp_path / each) if each in ("out", "out.nc") else each for each in arguments), "--json")
        assert ended.code in (0, 1), ended.err
        return json.loads(ended.out, parse_constant=pytest.fail)

    return run


@pytest.mark.parametrize(
    "arguments",
    [
        ("check", "fit.nc"),
        ("predict", "fit.nc", "models.csv"),
        ("compare", "fit.nc", "again.nc"),
        ("plan", "fit.nc", "shipped.toml", "--out", "out.nc"),
        pytest.param(("plan", "fit.nc", "few.toml", "unpriced.toml", "--out", "out"), marks=pytest.mark.slow),
        ("next-run", "fit.nc", "few.toml", "--batch", 2),
        pytest.param(("sensitivity", "fit.nc", "few.toml"), marks=pytest.mark.slow),
        ("cost", "mixtral-8x7b", "few.toml", "--beside", "llama-3.1-8b", "--draws", 200),
        ("runs", "check", "messy.csv"),
        ("runs", "check", "messy.csv", "--best-of-learning-rate"),
    ],
    ids=lambda arguments: " ".join(map(str, arguments)),
)
@pytest.mark.few(4)
def test_what_is_printed_obeys_its_schema(printed, arguments) -> None:
    require(printed(*arguments))


@pytest.mark.slow
def test_a_plan_of_every_problem_obeys_its_schema(printed) -> None:
    require(printed("plan", "fit.nc", "every.toml", "--out", "out.nc"))


@pytest.mark.slow
def test_a_backtest_obeys_its_schema(printed) -> None:
    require(printed("backtest", RUNS, "--hold-out", "n_dense > 4e8", "--law", "chinchilla", "--law", "kaplan"))


@pytest.mark.parametrize("name", [law.name for law in all_laws] + [f"{HYPER}{law.name}" for law in all_hyperparameter_laws])
@pytest.mark.few(10)
def test_what_a_law_says_obeys_its_schema(name: str) -> None:
    require(document_of(name).as_dict())


def test_a_law_at_a_run_obeys_its_schema() -> None:
    require(document_of("kaplan", ["n_total=1e9", "tokens=4.6e10"]).as_dict())
    require(document_of(f"{HYPER}kaplan", ["loss=2.5"]).as_dict())


def test_an_unknown_key_is_found() -> None:
    with pytest.raises(AssertionError, match="mood"):
        require(document_of("kaplan").as_dict() | {"mood": "good"})


@pytest.mark.parametrize("document", all_documents(), ids=lambda document: document.kind)
def test_a_schema_on_disk_is_the_models_and_is_linked(document) -> None:
    path = DOCS / "schemas" / document.schema_file()
    assert path.read_text() == document.schema_text(), "run docs/make_json.py"
    assert f"(schemas/{path.name})" in (DOCS / "json.md").read_text()
