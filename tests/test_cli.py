"""The command line: bad input ends with one sentence, exit code 2 and no file, whatever the command."""

from __future__ import annotations

import errno
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from bayesmoe.errors import InputError
from bayesmoe.inference.spec import load_table, read_fit_spec, spec_from
from bayesmoe.planning.reading import read_scenario
from bayesmoe.resources import resource_folder
from bayesmoe.runs import registered, registry

MODELS = resource_folder("models")
SCENARIO = MODELS / "scenarios" / "yun-2024.toml"
RUNS = """run_id,loss,tokens,num_experts,top_k,n_dense
a,2.5,1e9,1,1,1e8
b,2.4,1e9,4,2,1e8
c,2.3,1e9,8,2,1e8
"""


@pytest.fixture
def runs(tmp_path):
    """Write the run table above with one piece of text replaced, and return its path."""

    def write(old: str = "", new: str = "") -> Path:
        assert old in RUNS
        (tmp_path / "runs.csv").write_text(RUNS.replace(old, new, 1))
        return tmp_path / "runs.csv"

    return write


# Bad runs, bad specs


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("loss", "los", ", loss: is missing (final loss, nats/token); map your own name with --map loss=YOUR_COLUMN (did you mean 'los'?)."),
        ("2.4", "NaN", ", row 3, loss: must be a finite number, found nan; remove the run (diverged or unfinished) or fill in its value."),
        ("2.4", "-2.4", ", row 3, loss: must be positive, found -2.4; losses are nats per token; remove the run or correct it."),
        ("2.4", "inf", ", row 3, loss: must be a finite number, found inf; remove the run (diverged or unfinished) or fill in its value."),
        ("2.4", "two", ", row 3, loss: must be a number, found 'two'; write plain numbers, such as 2.5e9."),
        ("2.4", "24.5", ", row 3, loss: must be at most 20 nats per token, found 24.5; it looks like a perplexity: give its logarithm, 3.199."),
        ("2.4,1e9", "2.4,5", ", row 3, tokens: is in billions, by the tokens per parameter that follow, found 5.0; write tokens in ones: multiply the column by 1e+09."),
        ("4,2", "4,6", ", row 3, top_k: must be at most num_experts (4), found 6.0; swap the columns, or write num_experts 1 and top_k 1 for a dense model."),
        ("c,", "a,", ", row 2, run_id: must be unique, found 'a'; it stands in rows 2, 4: drop the copy, or give repeats their own run_id and a seed."),
        ("a,2.5,1e9,1,1,1e8\nb,2.4,1e9,4,2,1e8\nc,2.3,1e9,8,2,1e8\n", "", ": has no runs; add one row a trained model."),
        ("\nb", "\nb,1,1,1", ", row 3: must have 6 values like the header, found 9; quote values that hold a comma, or name the column in the header."),
        (",1e8\nc", ",\nc", ", n_dense: is needed by the law 'yun' and is blank in run 'b'; fill it in, or leave those runs out with --select."),
    ],
)  # fmt: skip
def test_a_bad_run_table(refused, runs, old, new, says):
    path = runs(old, new)
    assert refused("fit", path) == f"{path}{says}"


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--law", "yunn"], "law: is not a known law, found 'yunn'; did you mean 'yun'? (your own: package.module:MyLaw)."),
        (["--law", "no_such_package_here:L"], "law: cannot be imported (No module named 'no_such_package_here'), found 'no_such_package_here:L'; write package.module:MyLaw and check PYTHONPATH."),
        (["--size", "N"], "law.size: should be 'n_dense', 'n_active' or 'n_total', found 'N'."),
        (["--group-by", "router"], "{runs}, router: is named as the group column but is not in the table; known: loss, n_dense, num_experts, run_id, tokens, top_k."),
        (["--map", "loss"], "--map: must be ours=yours, such as loss=val_loss, found 'loss'."),
        (["--map", "loss=los"], "{runs}, los: is mapped to 'loss' but is not in the table; did you mean 'loss'?"),
        (["--select", "loss < 0"], "{runs}, select: keeps no run, found 'loss < 0'; loosen it."),
        (["--select", "loss <"], "{runs}, select: cannot be evaluated (invalid syntax (<unknown>, line 1)), found 'loss <'; write it over column names, such as \"n_dense > 1e8 and group == 'Hash'\"."),
        (["--warmup", "5"], "sampler.warmup: should be greater than or equal to 100, found 5."),
    ],
)  # fmt: skip
def test_a_bad_flag(refused, runs, flags, says):
    path = runs()
    assert refused("fit", path, *flags) == says.format(runs=path)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[data]\nfile = 'runs.csv'\n[samplr]\nseed = 1\n", ", samplr: is not a known key; did you mean 'sampler'?"),
        ("[data]\nfile = 'runs.csv'\n[sampler]\nsed = 1\n", ", sampler.sed: is not a known key; did you mean 'seed'?"),
        (
            "[data\n",
            ": is not TOML (Expected ']' at the end of a table declaration (at line 1, column 6)); see the examples in models/.",
        ),
    ],
)
def test_a_bad_spec(refused, tmp_path, text, says):
    (tmp_path / "model.toml").write_text(text)
    assert refused("fit", tmp_path / "model.toml") == f"{tmp_path / 'model.toml'}{says}"


@pytest.mark.parametrize("name", ["none.csv", "none.toml", "none.parquet"])
def test_a_file_that_is_not_there(refused, tmp_path, name):
    assert refused("fit", tmp_path / name) == f"{tmp_path / name}: no such file; check the path."


def test_a_damaged_data_set(refused, tmp_path, monkeypatch):
    monkeypatch.setenv(registry.MIRROR_VARIABLE, str(tmp_path))
    (tmp_path / "clark2022_curves.csv.gz").write_bytes(b"damaged")
    said = refused("fit", MODELS / "clark2022-routers.toml")
    expected = registered()["clark2022"].files["curves"].sha256[:12]
    assert said.startswith(f"{tmp_path / 'clark2022_curves.csv.gz'}: must have sha256 {expected}…, found '")
    assert said.endswith("delete it and run `bayesmoe datasets fetch clark2022`.")


def test_a_data_set_that_was_not_fetched(refused, tmp_path, monkeypatch):
    monkeypatch.delenv(registry.MIRROR_VARIABLE, raising=False)
    monkeypatch.setattr(registry, "_cache", lambda: tmp_path / "cache")
    assert "run `bayesmoe datasets fetch clark2022`" in refused("fit", MODELS / "clark2022-routers.toml")


# Bad fits and scenarios


@pytest.fixture
def not_fits(tmp_path) -> Path:
    """A folder of files that are no fits."""
    (tmp_path / "text.nc").write_text("not netCDF")
    (tmp_path / "damaged.nc").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(500))
    xr.Dataset({"a": ("x", [1.0])}).to_netcdf(tmp_path / "other.nc", engine="netcdf4")
    return tmp_path


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("none.nc", "no such file; give a fit made by `bayesmoe fit`."),
        ("text.nc", "is not readable netCDF (OSError); give a fit made by `bayesmoe fit`."),
        ("damaged.nc", "is not readable netCDF (OSError); give a fit made by `bayesmoe fit`."),
        ("other.nc", "is not a fit of bayesmoe; make one with `bayesmoe fit`."),
    ],
)
@pytest.mark.parametrize("command", ["plan", "report"])
def test_a_fit_that_is_none(refused, not_fits, command, name, says):
    more = [SCENARIO] if command == "plan" else []
    out = "plan.nc" if command == "plan" else "page.html"
    assert refused(command, not_fits / name, *more, out=out) == f"{not_fits / name}: {says}"


@pytest.mark.parametrize("name", ["none.nc", "text.nc", "damaged.nc", "other.nc"])
def test_check_of_a_fit_that_is_none(bayesmoe, not_fits, name):
    ended = bayesmoe("check", not_fits / name)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith(f"bayesmoe: {not_fits / name}: ")
    assert ended.err.count("\n") == 1


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("[choices]", "[choice]", ", choice: is not a known key; did you mean 'choices'?"),
        ("max_gpus = 8", "max_gpus = 0", ", serving.max_gpus: should be greater than or equal to 1, found 0."),
        ("[choices]", "[choices]\nnum_experts = [1, 8]", ", choices: baseline_num_experts must be one of num_experts."),
    ],
)
def test_a_bad_scenario(refused, tmp_path, old, new, says):
    path = tmp_path / "scenario.toml"
    path.write_text(SCENARIO.read_text(encoding="utf-8").replace(old, new))
    assert refused("plan", tmp_path / "fit.nc", path).startswith(f"{path}{says}")


# Output


def full_disk(_):
    """Stand in for a sync on a full disk."""
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


FULL = "could not be written (No space left on device); free disk space or name another --out; nothing was left behind."


@pytest.fixture
def instant_fit(monkeypatch):
    """Make sampling instant."""
    tree = xr.DataTree.from_dict({"/posterior": xr.Dataset({"gain": (("chain", "draw"), np.ones((2, 3)))})})
    monkeypatch.setattr("bayesmoe.fitting.fit_spec", lambda spec, *, on_progress: tree)


def test_a_fit_that_cannot_be_written(refused, runs, tmp_path, monkeypatch, instant_fit):
    path = runs()
    monkeypatch.setattr(os, "fsync", full_disk)
    assert refused("fit", path) == f"{tmp_path / 'out.nc'}: {FULL}"


@pytest.mark.parametrize("out", ["out.csv", "out.parquet"])
def test_a_table_that_cannot_be_written(bayesmoe, tmp_path, monkeypatch, out):
    monkeypatch.setattr(os, "fsync", full_disk)
    ended = bayesmoe("datasets", "fetch", "simulated-yun-grid", "--out", tmp_path / out)
    assert (ended.code, ended.err) == (2, f"bayesmoe: {tmp_path / out}: {FULL}\n")
    assert list(tmp_path.iterdir()) == []


def test_an_older_fit_survives_a_full_disk(bayesmoe, runs, tmp_path, monkeypatch, instant_fit):
    path, out = runs(), tmp_path / "out.nc"
    out.write_bytes(b"older fit")
    monkeypatch.setattr(os, "fsync", full_disk)
    assert bayesmoe("fit", path, "--out", out).code == 2
    assert out.read_bytes() == b"older fit"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out.nc", "runs.csv"]


# Interrupts


@pytest.fixture
def interrupted(bayesmoe, runs, tmp_path, monkeypatch):
    """A fit that was stopped at the keyboard."""

    def stopped(*_, **__):
        raise KeyboardInterrupt

    path = runs()
    monkeypatch.setattr("bayesmoe.fitting.fit_law", stopped)
    ended = bayesmoe("fit", path, "--out", tmp_path / "out.nc")
    assert list(tmp_path.iterdir()) == [path]
    return ended


def test_an_interrupt_ends_with_130_and_nothing_written(interrupted):
    assert interrupted.code == 130
    assert "Traceback" not in interrupted.err


def test_an_interrupt_is_said(interrupted):
    assert interrupted.err == "bayesmoe: stopped; nothing was written.\n"


# Data sets, help


def test_datasets_list_has_a_line_for_each(bayesmoe):
    ended = bayesmoe("datasets", "list")
    assert (ended.code, ended.err) == (0, "")
    assert [line.split()[0] for line in ended.out.splitlines()] == ["name", *registered()]


@pytest.mark.parametrize("name", registered())
def test_datasets_show_gives_citation_license_and_checksums(bayesmoe, name):
    ended = bayesmoe("datasets", "show", name)
    assert (ended.code, ended.err) == (0, "")
    entry = registered()[name]
    for said in (
        entry.title,
        entry.citation,
        entry.license,
        entry.upstream,
        *(file.sha256 for file in entry.files.values()),
    ):
        assert said in ended.out


@pytest.mark.parametrize("command", ["show", "fetch"])
def test_an_unknown_data_set(bayesmoe, command):
    ended = bayesmoe("datasets", command, "simulated-yun")
    assert (ended.code, ended.out) == (2, "")
    assert (
        ended.err
        == "bayesmoe: source: is not a registered data set, found 'simulated-yun'; did you mean 'simulated-yun-grid'?\n"
    )


def test_datasets_fetch_writes_the_tidy_table(bayesmoe, tmp_path):
    ended = bayesmoe("datasets", "fetch", "simulated-yun-grid", "--out", tmp_path / "runs.csv")
    assert ended.code == 0
    assert ended.out.splitlines()[-1] == f"80 runs in {tmp_path / 'runs.csv'}"
    shipped = resource_folder("datasets") / "simulated-yun-grid.csv"
    assert (tmp_path / "runs.csv").read_text() == shipped.read_text(encoding="utf-8")


def test_datasets_fetch_writes_csv_or_parquet_alone(bayesmoe, tmp_path):
    ended = bayesmoe("datasets", "fetch", "simulated-yun-grid", "--out", tmp_path / "runs.txt")
    assert ended.code == 2
    assert ended.err == f"bayesmoe: --out: must end in .csv or .parquet, found '{tmp_path / 'runs.txt'}'.\n"
    assert list(tmp_path.iterdir()) == []


def test_help_names_every_command(bayesmoe):
    ended = bayesmoe("--help")
    assert ended.code == 0
    words = re.sub(r"\x1b\[[0-9;]*m", "", ended.out).split()
    assert {"demo", "datasets", "fit", "check", "plan", "report", "figures"} <= set(words)


def test_files_to_start_from(bayesmoe, tmp_path):
    ended = bayesmoe("init", tmp_path / "sweep")
    assert ended.code == 0
    names = ["fit.toml", "runs.csv", "scenario.toml"]
    assert sorted(path.name for path in (tmp_path / "sweep").iterdir()) == names
    spec = read_fit_spec(tmp_path / "sweep" / "fit.toml")
    assert len(load_table(spec.data, spec.groups).frame) == 80
    assert read_scenario(tmp_path / "sweep" / "scenario.toml") == read_scenario("yun-2024")
    again = bayesmoe("init", tmp_path / "sweep")
    assert again.code == 2
    assert (
        again.err
        == f"bayesmoe: {tmp_path / 'sweep' / 'runs.csv'}: is there already; name another folder; nothing was written.\n"
    )


def test_a_packaged_file_is_found_by_its_name_and_a_file_of_that_name_first(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shipped = read_scenario("yun-2024")
    assert read_scenario("yun-2024.toml") == shipped
    assert spec_from("clark2022-routers").law.name == "clark"
    Path("yun-2024.toml").write_text("[training]\nbudget_flop = 1e20\n[serving]\n")
    assert read_scenario("yun-2024.toml").training.budget_flop == 1e20
    with pytest.raises(InputError, match="no such file"):
        read_scenario("no-such-scenario")


@pytest.mark.parametrize(
    "arguments", [["--help"], ["fit", "--help"], ["plan", "--help"], ["datasets", "list"]], ids=" ".join
)
@pytest.mark.few(1)
def test_help_does_not_wait_for_jax(arguments):
    script = (
        "import sys; from bayesmoe.cli import main\n"
        "try: main()\n"
        "except SystemExit as ended: assert not ended.code\n"
        "print('LOADED', *({'jax', 'numpyro', 'xarray', 'matplotlib'} & set(sys.modules)))"
    )
    ended = subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True, text=True, check=True)
    assert ended.stdout.splitlines()[-1] == "LOADED"


# The whole job


@pytest.mark.slow
def test_fit_check_plan_and_report_on_the_embedded_runs(bayesmoe, tmp_path):
    fit, plan, page = tmp_path / "fit.nc", tmp_path / "plan.nc", tmp_path / "report.html"
    ended = bayesmoe("fit", MODELS / "simulated-yun-grid.toml", "--out", fit, "--warmup", 300, "--draws", 100, "--chains", 2)
    assert ended.code == 0
    assert f"{fit}: law yun, 80 runs, gate " in ended.out

    ended = bayesmoe("check", fit, "--json")
    gate = json.loads(ended.out)
    assert ended.code == (1 if gate["verdict"] == "FAIL" else 0)
    assert {check["name"] for check in gate["checks"]} >= {"R-hat", "bulk ESS", "divergences"}

    ended = bayesmoe("plan", fit, SCENARIO, "--out", plan, "--despite-fail", "--json")
    assert ended.code == 0
    assert json.loads(ended.out)["schema_version"] >= 1

    ended = bayesmoe("report", fit, plan, "--out", page)
    assert (ended.code, ended.out) == (0, f"{page}\n")
    assert "simulated" in page.read_text(encoding="utf-8").lower()
    assert sorted(tmp_path.iterdir()) == [fit, plan, page]
    if gate["verdict"] != "FAIL":
        assert bayesmoe("report", fit, SCENARIO, "--out", page).code == 0
        assert "Decision" in page.read_text(encoding="utf-8")
