"""The wrong file, the wrong format, and what stands in a table."""

from __future__ import annotations

import pytest
from mistakes.inputs import RUNS, SPEC, changed


@pytest.mark.parametrize(
    ("command", "sentence"),
    [
        ("fit rnus.csv --out new.nc", "rnus.csv: no such file; check the path."),
        ("fit folder --out new.nc", "folder: is a folder; name a file."),
        (
            "fit clark2022 --out new.nc",
            'clark2022: is a registered data set, not a file; put [data] and source = "clark2022" into a model spec, as in models/, and fit that.',
        ),
        (
            "fit scenario.toml --out new.nc",
            "scenario.toml: is a scenario, not a model spec; give it to `bayesmoe plan`, after a fit.",
        ),
        (
            "fit fit.nc --out new.nc",
            "fit.nc: is neither CSV, Parquet nor JSON; it is netCDF, such as a fit: give the table of runs.",
        ),
        ("plan plan.nc scenario.toml --out new.nc", "plan.nc: is a plan, not a fit; give the fit that it was made from."),
        (
            "plan runs.csv scenario.toml --out new.nc",
            "runs.csv: is not readable netCDF (OSError); give a fit made by `bayesmoe fit`.",
        ),
        (
            "plan scenario.toml fit.nc --out new.nc",
            "fit.nc: is netCDF, such as a fit or a plan, not TOML; see the examples in models/.",
        ),
        ("report plan.nc --out page.html", "plan.nc: is a plan, not a fit; give the fit that it was made from."),
        ("report fit.nc fit.nc --out page.html", "fit.nc: is a fit, not a plan; make a plan of it with `bayesmoe plan`."),
        (
            "cost scenario.toml scenario.toml",
            "scenario.toml: is a scenario, not an architecture; give it after the architecture; see models/architectures/.",
        ),
        ("compare fit.nc plan.nc", "plan.nc: is a plan, not a fit; give the fit that it was made from."),
    ],
)
def test_the_wrong_file(said, command, sentence):
    assert said(command) == sentence


def test_a_model_spec_where_a_scenario_is_due(said):
    assert (
        said("plan fit.nc model.toml --out new.nc", model__toml=SPEC)
        == "model.toml: is a model spec, not a scenario; give it to `bayesmoe fit`; see models/scenarios/ for scenarios."
    )


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        (
            "runs.xlsx",
            b"PK\x03\x04\x14\x00",
            "runs.xlsx: is neither CSV, Parquet nor JSON; it is an Excel workbook or a zip: save the sheet as CSV.",
        ),
        (
            "book.csv",
            b"PK\x03\x04\x14\x00\xff\xfe",
            "book.csv: cannot be read ('utf-8' codec can't decode byte 0xff in position 6: invalid start byte); it is an Excel workbook or a zip: save the sheet as CSV.",
        ),
        (
            "shot.csv",
            b"\x89PNG\r\n\x1a\n\x00\x00",
            "shot.csv: cannot be read ('utf-8' codec can't decode byte 0x89 in position 0: invalid start byte); export the runs again.",
        ),
        ("empty.csv", b"", "empty.csv: is empty; add a header and one row a trained model."),
        ("head.csv", RUNS.splitlines()[0].encode(), "head.csv: has no runs; add one row a trained model."),
    ],
)
def test_the_wrong_format(said, name, content, sentence):
    assert said(f"fit {name} --out new.nc", **{name: content}) == sentence


# What stands in a table


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        (
            "loss",
            "los",
            "runs.csv, loss: is missing (final loss, nats/token); map your own name with --map loss=YOUR_COLUMN (did you mean 'los'?).",
        ),
        ("loss,tokens", "loss,loss", "runs.csv, loss: stands more than once in the header; rename one of the two."),
        (
            "run_id,",
            "Runs of March\nrun_id,",
            "runs.csv, row 1: is no header: row 2 has more names; take out what stands above the names of the columns.",
        ),
        (
            "2.4",
            "",
            "runs.csv, row 3, loss: must be a finite number, found nan; remove the run (diverged or unfinished) or fill in its value.",
        ),
        (
            "2.4",
            "-2.4",
            "runs.csv, row 3, loss: must be positive, found -2.4; losses are nats per token; remove the run or correct it.",
        ),
        (
            "2.4",
            "52.1%",
            "runs.csv, row 3, loss: must be a number, found '52.1%'; write plain numbers, such as 2.5e9.",
        ),
        (
            "2.4",
            "110.2",
            "runs.csv, row 3, loss: must be at most 20 nats per token, found 110.2; it looks like a perplexity: give its logarithm, 4.702.",
        ),
        (
            "1e9",
            "20",
            "runs.csv, row 2, tokens: is in billions, by the tokens per parameter that follow, found 20; write tokens in ones: multiply the column by 1e+09.",
        ),
        (
            "1e8",
            "about 120M",
            "runs.csv, row 2, n_dense: must be a number, found 'about 120M'; write plain numbers, such as 2.5e9.",
        ),
        (
            "1e8",
            "100",
            "runs.csv, row 2, n_dense: is in millions, by the tokens per parameter that follow, found 100; write parameters in ones: multiply the column by 1e+06.",
        ),
        ("4,2", "0,2", "runs.csv, row 3, num_experts: must be at least 1, found 0.0; write 1 for a dense model."),
        ("8,2", "8.5,2", "runs.csv, row 4, num_experts: must be a whole number, found 8.5; count routed experts only."),
        (
            "4,2",
            "2,4",
            "runs.csv, row 3, top_k: must be at most num_experts (2), found 4.0; swap the columns, or write num_experts 1 and top_k 1 for a dense model.",
        ),
        (
            "b,",
            "a,",
            "runs.csv, row 2, run_id: must be unique, found 'a'; it stands in rows 2, 3: drop the copy, or give repeats their own run_id and a seed.",
        ),
        (
            "n_dense",
            "size",
            "runs.csv, n_dense: is needed by the law 'yun'; add it (backbone parameters before expert expansion), add shape columns (d_model, num_layers, d_ff), or let the law read another size with --size n_active.",
        ),
        (
            "num_experts",
            "nexperts",
            "runs.csv, num_experts: is missing (routed experts; 1 for dense, count); map your own name with --map num_experts=YOUR_COLUMN (did you mean 'nexperts'?).",
        ),
        (
            "2.4,1e9",
            "2.4,1,000,000,000",
            "runs.csv, row 3: must have 6 values like the header, found 9; quote values that hold a comma, or name the column in the header.",
        ),
    ],
)
def test_the_wrong_table(said, old, new, sentence):
    assert said("fit runs.csv --out new.nc", runs__csv=changed(RUNS, old, new)) == sentence
