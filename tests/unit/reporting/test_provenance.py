"""Provenance: what a report prints makes it again; forecasts are those of the document."""

from __future__ import annotations

import json

import pytest
from seeds import seeded

from bayesmoe.errors import InputError
from bayesmoe.inference.spec import read_fit_spec
from bayesmoe.inference.store import FitInfo
from bayesmoe.planning.reading import read_scenario
from bayesmoe.planning.store import PlanInfo
from bayesmoe.reporting.forecasts import forecast_rows, own_coverage, read_backtest
from bayesmoe.reporting.provenance import provenance


def test_the_printed_specs_are_those_that_were_used(small_fit, small_plan, tmp_path):
    found = provenance(small_fit, small_plan)
    (tmp_path / "model.toml").write_text(found["spec"], encoding="utf-8")
    (tmp_path / "scenario.toml").write_text(found["scenario"], encoding="utf-8")
    assert read_fit_spec(tmp_path / "model.toml") == FitInfo.read(small_fit).spec
    assert read_scenario(tmp_path / "scenario.toml") == PlanInfo.read(small_plan).scenario


def test_the_commands_name_both_files_and_what_was_overridden(small_fit, small_plan):
    commands = provenance(small_fit, small_plan)["commands"]
    assert commands.splitlines() == [
        "bayesmoe fit model.toml --out fit.nc",
        "bayesmoe plan fit.nc scenario.toml --out plan.nc",
        "bayesmoe report fit.nc plan.nc --out report.html",
    ]
    failed = small_plan.assign_attrs(gate="FAIL")
    assert "scenario.toml --out plan.nc --despite-fail" in provenance(small_fit, failed)["commands"]
    assert "plan" not in provenance(small_fit, None)["commands"]


def test_seeds_and_checksum_are_told(small_fit, small_plan):
    rows = provenance(small_fit, small_plan)["rows"]
    assert rows["Seeds"] == f"fit {seeded(1)}, plan 0"
    assert rows["Checksum of the runs (sha256)"] == small_fit.attrs["data_sha256"]


def test_one_law_alone_has_no_forecasts(small_fit):
    assert own_coverage(small_fit).startswith("This law was not tested")


DOCUMENT = {
    "schema": "bayesmoe.backtest",
    "schema_version": 2,
    "backtests": [
        {
            "held_out": "n_dense > 1e9",
            "runs": ["a", "b"],
            "forecasts": {
                "average": {"coverage": {"0.5": 0.5, "0.9": 1.0}, "crps_nats_per_token": 0.01234, "bias_ln": -0.012}
            },
        }
    ],
}


def test_a_backtest_is_read_as_it_was_printed(tmp_path):
    path = tmp_path / "backtest.json"
    path.write_text(json.dumps(DOCUMENT), encoding="utf-8")
    assert forecast_rows(read_backtest(path)) == [
        {
            "held_out": "n_dense > 1e9 (2 runs)",
            "forecaster": "average",
            "coverage": "100%",
            "bias": "-1.2%",
            "crps": "0.0123",
        }
    ]


@pytest.mark.parametrize(
    ("written", "said"),
    [
        (None, "no such file"),
        ("{", "is not JSON"),
        ("[]", "is not a bayesmoe.backtest document of version 2"),
        ('{"schema": "bayesmoe.plan", "schema_version": 1}', "is not a bayesmoe.backtest document of version 2"),
        ('{"schema": "bayesmoe.backtest", "schema_version": 9}', "is not a bayesmoe.backtest document of version 2"),
    ],
)
def test_another_file_is_refused(tmp_path, written, said):
    path = tmp_path / "backtest.json"
    if written is not None:
        path.write_text(written, encoding="utf-8")
    with pytest.raises(InputError, match=said):
        read_backtest(path)
