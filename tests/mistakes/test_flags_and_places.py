"""Slips on the command line: flags, names, and where the output goes."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize(
    ("command", "sentence"),
    [
        ("fit runs.csv", "missing option '--out'; see `bayesmoe fit --help`."),
        ("fti runs.csv --out new.nc", "no such command 'fti', did you mean 'fit'?"),
        (
            "fit runs.csv --out new.nc --warm-up 100",
            "no such option: --warm-up (Possible options: --warmup); see `bayesmoe fit --help`.",
        ),
        ("fit runs.csv --out new.nc --map val_loss", "--map: must be ours=yours, such as loss=val_loss, found 'val_loss'."),
        (
            "fit runs.csv --out new.nc --map loss=val_loss",
            "runs.csv, val_loss: is mapped to 'loss' but is not in the table; did you mean 'loss'?",
        ),
        (
            "fit runs.csv --out new.nc --map val_loss=loss",
            "runs.csv, val_loss: is not a column of ours to map to; did you mean 'loss'?",
        ),
        (
            "fit runs.csv --out new.nc --law chinchila",
            "law: is not a known law, found 'chinchila'; did you mean 'chinchilla'? (your own: package.module:MyLaw).",
        ),
        (
            "fit runs.csv --out new.nc --group-by router",
            "runs.csv, router: is named as the group column but is not in the table; known: loss, n_dense, num_experts, run_id, tokens, top_k.",
        ),
        (
            "fit runs.csv --out new.nc --size n_params",
            "law.size: should be 'n_dense', 'n_active' or 'n_total', found 'n_params'.",
        ),
        (
            "fit runs.csv --out new.nc --select 'n_dens > 1e7'",
            "runs.csv, select: cannot be evaluated (name 'n_dens' is not defined: did you mean 'n_dense'?), found 'n_dens > 1e7'; write it over column names, such as \"n_dense > 1e8 and group == 'Hash'\".",
        ),
        (
            "fit runs.csv --out new.nc --select 'n_dense = 1e8'",
            "runs.csv, select: cannot be evaluated (a comparison is written ==, not =), found 'n_dense = 1e8'; write it over column names, such as \"n_dense > 1e8 and group == 'Hash'\".",
        ),
        ("fit runs.csv --out new.nc --draws 0", "sampler.draws: should be greater than or equal to 1, found 0."),
        (
            "fit runs.csv --out new.nc --draws many",
            "invalid value for '--draws': should be a valid integer, unable to parse string as an integer; see `bayesmoe fit --help`.",
        ),
        ("fit runs.csv --out new.nc --target-accept 95", "sampler.target_accept: should be less than 1, found 95.0."),
        ("backtest runs.csv", '--hold-out or --forward: give one of them; such as --hold-out "n_dense > 1e9".'),
        (
            "backtest runs.csv --hold-out 'n_dens > 1e9'",
            "--hold-out: is not a condition over the table's columns (name 'n_dens' is not defined: did you mean 'n_dense'?), found 'n_dens > 1e9'; columns: run_id, loss, tokens, num_experts, top_k, n_dense, n_active, n_total, train_flop, activation_ratio.",
        ),
        (
            "backtest runs.csv --hold-out 'n_dense > 1e7'",
            "--hold-out: leaves too little on one side, found '3 of 3 runs held out'; hold out at least one run and keep at least 8.",
        ),
        (
            "plan fit.nc scenario.toml --group hash --out new.nc",
            "scenario.toml, choices.group: the fit has no groups, found 'hash'; leave it out, or refit with --group-by COLUMN.",
        ),
        (
            "cost mixtral-8x7 scenario.toml",
            "architecture: is not a known model, found 'mixtral-8x7'; did you mean 'mixtral-8x7b'?",
        ),
        (
            "cost mixtral-8x7b scenario.toml --draws 0",
            "invalid value for '--draws': should be greater than or equal to 1; see `bayesmoe cost --help`.",
        ),
        (
            "predict fit.nc runs.csv --group hash",
            "--group: the fit has no groups, found 'hash'; leave it out, or refit with --group-by COLUMN.",
        ),
        ("laws show kaplan --at n_total", "--at: must be COLUMN=VALUE, such as tokens=2e10, found 'n_total'."),
        ("datasets fetch clark", "source: is not a registered data set, found 'clark'; did you mean 'clark2022'?"),
    ],
)
def test_the_wrong_flag(said, command, sentence):
    assert said(command) == sentence


@pytest.mark.parametrize(
    ("command", "sentence"),
    [
        ("fit runs.csv --out folder", "folder: is a folder; name a file."),
        ("fit runs.csv --out runs.csv", "--out: must end in .nc, found 'runs.csv'."),
        ("fit runs.csv --out new.csv", "--out: must end in .nc, found 'new.csv'."),
        ("plan fit.nc scenario.toml --out fit.nc", "fit.nc, --out: is a file that is read; name another file."),
        (
            "plan fit.nc scenario.toml scenario.toml --out plans",
            "must not repeat a file name: each names its plan, found 'scenario.toml, scenario.toml'.",
        ),
        ("report fit.nc plan.nc --out page.pdf", "--out: must end in .html, found 'page.pdf'."),
        ("report fit.nc plan.nc --out folder", "folder: is a folder; name a file."),
        (
            "fit runs.csv --out runs.csv/new.nc",
            "runs.csv/new.nc: could not be written (Not a directory); name another --out.",
        ),
        ("runs check runs.csv --clean runs.csv", "runs.csv, --clean: is the file that is read; name another file."),
    ],
)
def test_the_wrong_place(said, command, sentence):
    assert said(command) == sentence
