"""Names come from strangers: a page and a terminal show them as text and act on nothing."""

from __future__ import annotations

import dataclasses
import json
from html import escape
from html.parser import HTMLParser

import pandas as pd
import pytest
import xarray as xr

from bayesmoe.cli.echo import echo
from bayesmoe.criticism.gate import Check, Gate
from bayesmoe.decisions.decide import decide
from bayesmoe.errors import printable
from bayesmoe.inference.store import FitInfo, save_fit
from bayesmoe.planning.store import PlanInfo
from bayesmoe.reporting.build import build_report, figures
from bayesmoe.resources import resource_folder
from bayesmoe.specs import to_json

SCENARIO = resource_folder("models") / "scenarios" / "yun-2024.toml"

# Names on a page

ATTACKS = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "</style><script>alert(1)</script>",
    "</title></svg><iframe src=//x>",
    "{{ 7*7 }}{% raw %}",
    "&lt;b&gt; &amp;",
    "]]><![CDATA[",
    "javascript:alert(1)",
)


class Tags(HTMLParser):
    """Tags, attributes and words of a page."""

    def __init__(self, html: str):
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.words: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data):
        self.words.append(data)


def attacked(fit, plan, attack: str):
    """A fit and a plan in which every name that a user chooses is an attack."""
    fit = fit.copy()
    for group in ("observed_data", "posterior_predictive", "constant_data"):
        dataset = fit[group].to_dataset()
        fit[group] = xr.DataTree(dataset.assign_coords(run=[f"{attack}{run}" for run in dataset["run"].values]))
    spec = json.loads(fit.attrs["spec"])
    spec["name"], spec["data"] = attack, {**spec["data"], "select": attack}
    fit.attrs.update(
        data_origin=f"folder/{attack}.csv",
        data_notes=json.dumps([attack]),
        law=attack,
        bayesmoe_version=attack,
        spec=json.dumps(spec),
    )
    scenario = PlanInfo.read(plan).scenario
    changed = dataclasses.replace(
        scenario,
        name=attack,
        choices=dataclasses.replace(scenario.choices, group=attack),
        serving=dataclasses.replace(scenario.serving, latency_table=f"{attack}.csv"),
        limits=dataclasses.replace(scenario.limits, constraints=(attack,)),
    )
    return fit, plan.assign_attrs(scenario=to_json(changed))


def test_attacks_stand_on_the_page_as_text(small_fit, small_plan) -> None:
    attack = " ".join(ATTACKS)
    fit, plan = attacked(small_fit, small_plan, attack)
    gate = Gate((Check("R-hat", "FAIL", 2.0, attack, attack, attack),))
    dataclasses.replace(FitInfo.read(fit), gate=gate).write(fit)
    backtest = {
        "held_out": attack, "runs": [1],
        "forecasts": {attack: {"coverage": {"0.9": 0.5}, "bias_ln": 0.0, "crps_nats_per_token": 0.1}},
    }  # fmt: skip
    page = build_report(fit, {}, plan=plan, decisions=decide(plan, fit), backtests=[backtest])
    found = Tags(page)
    assert not found.tags & {"script", "img", "iframe", "b"}
    assert not [name for name in found.attributes if name.startswith("on")]
    assert "".join(found.words).count(attack) >= 10
    assert escape(attack, quote=True).replace("&#x27;", "&#39;").replace("&quot;", "&#34;") in page
    assert page.count("</style>") == 1


@pytest.mark.parametrize(
    "attack",
    ["".join(ATTACKS), *(pytest.param(one, marks=pytest.mark.slow) for one in ("$\\frac{1$ ^_ \\x", "\x1b[31m\x00\x07"))],
)
def test_an_attack_stands_in_a_figure_as_text(small_fit, small_plan, attack) -> None:
    import matplotlib.pyplot as plt

    fit, _ = attacked(small_fit, small_plan, attack)
    made = {"fit_to_runs": figures(fit)["fit_to_runs"]}
    page = build_report(fit, made)
    plt.close("all")
    found = Tags(page)
    assert not found.tags & {"script", "iframe", "b"}
    assert "svg" in found.tags
    assert not [name for name in found.attributes if name.startswith("on")]


# Names on a terminal

ACTIVE = "\x1b[31m[red]x[/red]\x1b]0;owned\x07\r\x9b2J\u202e"


def test_what_a_terminal_acts_on_is_written_as_an_escape() -> None:
    assert printable("a\x1b[31m\n\u202e\ud800é模[red]") == "a\\x1b[31m\\n\\u202e\\ud800é模[red]"


def test_saying_keeps_lines(capsys) -> None:
    echo(f"one {ACTIVE}\ntwo")
    assert capsys.readouterr().out == "one \\x1b[31m[red]x[/red]\\x1b]0;owned\\x07\\r\\x9b2J\\u202e\ntwo\n"


def only_text(said: str) -> None:
    """Raise where a terminal would do more than print."""
    assert said == "\n".join(map(printable, said.split("\n")))


def test_names_in_a_table_of_runs_reach_the_terminal_as_text(bayesmoe, tmp_path) -> None:
    frame = pd.DataFrame(
        {
            "run_id": [f"{ACTIVE}{i}" for i in range(3)], f"col{ACTIVE}": 1, "loss": [2.5, -1.0, 2.3], "num_experts": [1, 4, 8], "tokens": 1e9,
            "group": ACTIVE, "n_dense": 1e8, "state": [ACTIVE, "finished", "failed"],
        }
    )  # fmt: skip
    path = tmp_path / "ru[red]ns\x1b[31m.csv"
    frame.to_csv(path, index=False)
    for arguments in (["runs", "check", path], ["runs", "check", path, "--clean", tmp_path / "clean.csv"]):
        ended = bayesmoe(*arguments)
        assert "\\x1b[31m[red]x[/red]" in ended.out
        only_text(ended.out + ended.err)
    ended = bayesmoe("fit", path, "--out", tmp_path / "fit.nc")
    assert (ended.code, ended.err.count("\n")) == (2, 1)
    assert "ru[red]ns\\x1b[31m.csv" in ended.err
    only_text(ended.err)


@pytest.mark.slow
def test_names_in_a_fit_and_in_models_reach_the_terminal_as_text(bayesmoe, tmp_path, small_fit, monkeypatch) -> None:
    save_fit(small_fit, tmp_path / "fit.nc")
    pd.DataFrame({"run_id": [f"{ACTIVE}\nfake line"], "tokens": 1e12, "num_experts": 8, "top_k": 1, "n_dense": 1e9}).to_csv(
        tmp_path / "models.csv", index=False
    )
    ended = bayesmoe("predict", tmp_path / "fit.nc", tmp_path / "models.csv")
    assert ended.code == 0
    only_text(ended.out)
    assert len(ended.out.splitlines()) == 2  # a heading and the run
    gate = Gate((Check("R-hat", "REVIEW", 1.02, f"{ACTIVE}\ngate: PASS", "at most 1.01", "look"),))
    monkeypatch.setattr("bayesmoe.criticism.gate.check", lambda fit: gate)
    ended = bayesmoe("check", tmp_path / "fit.nc")
    assert ended.code == 0
    only_text(ended.out)
    assert [line for line in ended.out.splitlines() if line.startswith("gate: ")] == ["gate: REVIEW"]


@pytest.mark.slow
def test_a_plans_names_reach_the_terminal_as_text(bayesmoe, tmp_path, small_fit, small_plan, monkeypatch) -> None:
    save_fit(small_fit, tmp_path / "fit.nc")
    path = tmp_path / "sc\x1b[31m[red]en.toml"
    path.write_text(SCENARIO.read_text(encoding="utf-8"))
    monkeypatch.setattr("bayesmoe.planning.planner.plan", lambda fit, scenario, *, allow_failed: small_plan)
    ended = bayesmoe("plan", tmp_path / "fit.nc", path, "--out", tmp_path / "pl\x1b[31m[red]an.nc")
    assert ended.code == 0
    assert "pl\\x1b[31m[red]an.nc" in ended.out
    only_text(ended.out + ended.err)
