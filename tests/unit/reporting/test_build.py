"""The page: whole and self-contained HTML that hides nothing and runs nothing it was handed."""

from __future__ import annotations

import base64
import dataclasses
import json
import re
from html import escape as html_escape
from html.parser import HTMLParser

import matplotlib.pyplot as plt
import pytest
import xarray as xr

from bayesmoe import plots
from bayesmoe.decisions.decide import decide
from bayesmoe.decisions.gate import far
from bayesmoe.decisions.next_run import next_runs
from bayesmoe.decisions.risk import extrapolation_factors, risk
from bayesmoe.decisions.text import headline
from bayesmoe.demo.gallery import save_figures
from bayesmoe.errors import InputError
from bayesmoe.inference.gate import Check, Gate
from bayesmoe.inference.store import FitInfo
from bayesmoe.planning.store import PlanInfo
from bayesmoe.reporting import advice_text, plan_text, text
from bayesmoe.reporting.build import build_report, figures, save_report
from bayesmoe.reporting.captions import FIGURES
from bayesmoe.specs import to_json
from bayesmoe.units import experts

HOSTILE = "<script>alert(1)</script>"
FAILED = Gate(
    (
        Check("R-hat", "FAIL", float("nan"), f"gain{HOSTILE}", "at most 1.01", "run more warm-up"),
        Check("divergences", "PASS", 0.0, "all chains", "none", ""),
    )
)
GALLERY = {
    "mfu_by_experts",
    "tornado",
    "loss_by_experts",
    "regret_map",
    "loss_by_tokens",
    "cheapest_by_budget",
    "lowest_loss_by_budget",
    "leverage_surface",
    "over_training_by_budget",
    "frontier",
    "calibration",
    "law_weights",
    "prior_predictive",
    "speedup",
}
"""Figures of the gallery alone: they take plans, fits or backtests of their own."""

VOID = {"meta", "img", "br", "link", "hr", "input"}


class Page(HTMLParser):
    """Tags, attributes and text of a page; complains where tags are not balanced."""

    def __init__(self, html):
        super().__init__(convert_charrefs=True)
        self.open, self.seen, self.attributes, self.words, self.wrong = [], [], [], [], []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.seen.append(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.wrong.append(tag)

    def handle_data(self, data):
        if not {"style", "script"} & set(self.open):
            self.words.append(data)

    @property
    def text(self):
        """What a reader sees, with single spaces."""
        return " ".join(" ".join(self.words).split())

    def values(self, tag, name):
        """Values of an attribute of a tag."""
        return [value for found, attribute, value in self.attributes if (found, attribute) == (tag, name)]


@pytest.fixture(scope="module")
def summary(small_plan):
    """Risk of the small plan."""
    return risk(small_plan)


@pytest.fixture(scope="module")
def decided(small_fit, small_plan):
    """Decisions on the small plan."""
    return decide(small_plan, small_fit)


@pytest.fixture(scope="module")
def hostile(small_fit, small_plan):
    """A failed fit, a plan and its decisions, whose every name is an attack."""
    fit = small_fit.copy()
    for group in ("observed_data", "posterior_predictive", "constant_data"):
        dataset = fit[group].to_dataset()
        fit[group] = xr.DataTree(dataset.assign_coords(run=[f"{HOSTILE}{run}" for run in dataset["run"].values]))
    scenario = PlanInfo.read(small_plan).scenario
    choices = dataclasses.replace(scenario.choices, group=f"group{HOSTILE}")
    serving = dataclasses.replace(scenario.serving, latency_table=f"table{HOSTILE}.csv")
    changed = to_json(dataclasses.replace(scenario, name=f"name{HOSTILE}", choices=choices, serving=serving))
    fit.attrs.update(data_origin=f"origin{HOSTILE}", data_notes=json.dumps([f"note{HOSTILE}"]), law=f"law{HOSTILE}")
    spec = json.loads(fit.attrs["spec"])
    fit.attrs["spec"] = json.dumps({**spec, "name": f"spec{HOSTILE}"})
    dataclasses.replace(FitInfo.read(fit), gate=FAILED).write(fit)
    plan = small_plan.assign_attrs(scenario=changed)
    return fit, plan, decide(plan, fit)


@pytest.fixture(scope="module")
def made(hostile, small_plan):
    """All figures of the hostile fit; its group is in no fit, so that nothing could be forecast for it."""
    fit, _, _ = hostile
    found = figures(fit, plan=small_plan, decisions=decide(small_plan, fit))
    yield found
    for figure in found.values():
        plt.close(figure)


@pytest.fixture(scope="module")
def full(hostile, made):
    """The page of a fit that failed its gate and was planned on all the same."""
    fit, plan, decisions = hostile
    return build_report(fit, made, plan=plan, decisions=decisions)


@pytest.fixture(scope="module")
def alone(small_fit):
    """The page of a fit without a plan."""
    found = figures(small_fit)
    html = build_report(small_fit, found)
    for figure in found.values():
        plt.close(figure)
    return html


@pytest.fixture(params=["full", pytest.param("alone", marks=pytest.mark.slow)])
def html(request):
    """Each page."""
    return request.getfixturevalue(request.param)


def test_tags_are_balanced(html):
    page = Page(html)
    assert page.wrong == []
    assert page.open == []
    assert {"html", "head", "body", "title", "main", "table", "figure"} <= set(page.seen)
    assert html.startswith("<!DOCTYPE html>")


def test_the_parser_notices_an_unbalanced_tag(alone):
    assert Page(alone.replace("</table>", "", 1)).wrong


def test_nothing_is_fetched(html):
    page = Page(html)
    # A namespace has the form of an address and is the name of a vocabulary.
    told = re.sub(r' xmlns(:xlink)?="http://www.w3.org/[^"]+"', "", html)
    assert "http:" not in told
    assert "https:" not in told
    assert all(value.startswith("data:image/png;base64,") for value in page.values("img", "src"))
    assert not [value for _, name, value in page.attributes if name in ("href", "srcset", "action")]
    local = ("#", "data:image/png;base64,")
    assert all(value.startswith(local) for _, name, value in page.attributes if name == "xlink:href")
    assert not {"script", "link", "iframe", "object", "base"} & set(page.seen)
    assert "@import" not in html
    assert not re.search(r"url\((?!#)", html)


def test_ids_are_told_apart(html):
    ids = [value for _, name, value in Page(html).attributes if name == "id"]
    assert len(ids) == len(set(ids))
    meant = [value[1:] for _, name, value in Page(html).attributes if name == "xlink:href" and value.startswith("#")]
    assert meant or "svg" not in html
    assert set(meant) <= set(ids)


def test_figures_tell_their_numbers_where_one_points(full, small_plan):
    summary = risk(small_plan)
    titles = re.findall(r"<title>([^<]+)</title>", full)
    share = float(summary["p_best"].sel(problem="lowest_loss", num_experts=32))
    assert f"32 experts: best in {100 * share:.1f}% of draws (lowest loss at bounded serving cost)" in titles


def test_hostile_names_are_shown_and_not_run(full):
    page = Page(full)
    assert "script" not in page.seen
    assert HOSTILE not in full
    for name in ("name", "group", "table", "origin", "note", "law", "spec", "gain"):
        assert f"{name}{HOSTILE}" in page.text, name
    assert not [name for _, name, _ in page.attributes if name.startswith("on")]


def test_run_names_are_told_where_one_points(full):
    assert f"run {html_escape(HOSTILE)}sim-000: observed " in full


def test_a_failed_gate_comes_before_any_decision_and_again_at_the_end(full):
    said = Page(full).text
    banner = f"Gate: FAIL. {text.gate('FAIL')}"
    assert said.count(banner) == 2
    assert said.index(banner) < said.index("Decision")
    assert "Do not decide on these numbers: the gate FAILs. They say: " in said
    assert said.endswith(banner)
    assert full.index("banner FAIL") < full.index("<main>")


def test_a_passed_gate_says_what_it_does_not_say(alone):
    said = Page(alone).text
    assert f"Gate: PASS. {text.gate('PASS')}" in said
    assert "FAIL" not in said


def test_every_check_stands_in_the_table_with_its_cure(full):
    said = Page(full).text
    assert f"R-hat FAIL nan gain{HOSTILE} at most 1.01 run more warm-up" in said
    assert "divergences PASS 0 all chains none nothing" in said


@pytest.mark.parametrize(
    ("page", "missing"),
    [
        ("full", GALLERY | {"next_run_value"}),
        (
            "alone",
            GALLERY
            | {
                "best_experts",
                "over_training",
                "differences",
                "total_cost",
                "loss_by_compute",
                "influence",
                "next_run_value",
            },
        ),
    ],
)
def test_every_figure_is_there_as_a_picture_with_words(request, page, missing):
    found = Page(request.getfixturevalue(page))
    expected = [caption for name, caption in FIGURES.items() if name not in missing]
    assert sorted(found.values("img", "alt") + found.values("svg", "aria-label")) == sorted(expected)
    assert found.values("svg", "role") == ["img"] * len(found.values("svg", "aria-label"))
    pictures = [base64.b64decode(src.partition(",")[2]) for src in found.values("img", "src")]
    assert len(pictures) == len(set(pictures)) == 2
    assert all(picture.startswith(b"\x89PNG\r\n\x1a\n") for picture in pictures)
    assert all(caption in found.text for caption in expected)


def test_simulated_runs_are_called_so_before_anything_else(html):
    assert html.index(text.SIMULATED) < html.index("<main>")


def test_trained_runs_are_not_called_simulated(small_fit):
    fit = small_fit.copy()
    fit.attrs["data_simulated"] = 0
    assert text.SIMULATED not in build_report(fit, {})


def test_the_decision_of_each_problem_stands_before_the_evidence(full, decided):
    said = Page(full).text
    for decision in decided:
        order = (decision.problem.title, plan_text.per_draw(decision), "Evidence")
        places = [said.index(part) for part in order]
        assert places == sorted(places)
    assert headline(decided[1]) in said
    assert plan_text.FIXED_NOTE in said
    assert text.BAND_NOTE in said
    assert text.ONE_LAW in said
    assert text.REGRET_NOTE in said


def test_a_plan_far_beyond_the_runs_is_flagged(small_fit, summary, full):
    times = extrapolation_factors(small_fit, summary)
    assert far(times)
    assert text.extrapolation(times, far=True) in full


def test_the_extrapolation_is_of_the_designs_and_of_the_worst_problem(small_fit, summary, decided):
    found = extrapolation_factors(small_fit, summary)
    designs = [decision.closest.design for decision in decided]
    largest = small_fit["constant_data"]
    for name in ("n_dense", "n_active", "tokens"):
        assert found[name] == pytest.approx(max(getattr(one, name) for one in designs) / float(largest[name].max()))
    assert found["num_experts"] == pytest.approx(max(one.num_experts for one in designs) / 32)
    flop = float((largest["n_active"] * largest["tokens"]).max())
    assert found["train_flop"] == pytest.approx(max(one.n_active * one.tokens for one in designs) / flop)


def test_every_expert_count_has_a_row_and_the_chosen_one_is_marked(full, summary):
    page = Page(full)
    assert page.values("tr", "class").count("chosen") == 2 * 2
    for count in summary["num_experts"].values:
        assert full.count(f'<th scope="row">{experts(int(count))}') == 2 * 2


def test_the_page_says_where_it_all_comes_from(full, hostile):
    fit, plan, _ = hostile
    said = Page(full).text
    assert fit.attrs["data_sha256"] in said
    for name, version in json.loads(fit.attrs["versions"]).items():
        assert f"{name} {version}" in said
    assert "training.budget_flop 5.15e21 FLOP" in said
    assert "training.flop_rule 6 n_active tokens; default: Kaplan 2020" in said
    assert "80 runs from origin" in said
    assert json.loads(plan.attrs["scenario"])["serving"]["accelerator"] in said


def test_a_page_is_written_as_utf8(tmp_path, alone):
    save_report(alone, tmp_path / "new" / "report.html")
    assert (tmp_path / "new" / "report.html").read_text(encoding="utf-8") == alone


def test_a_page_that_cannot_be_written_says_so(tmp_path, alone):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InputError, match="could not be written"):
        save_report(alone, tmp_path / "file" / "report.html")


@pytest.mark.slow
def test_figures_are_saved_under_their_names(made, tmp_path):
    assert set(made) == set(FIGURES) - GALLERY - {"next_run_value"}
    save_figures(made, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {f"{name}.{kind}" for name in made for kind in ("png", "svg")}
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in tmp_path.glob("*.png"))


def test_the_page_says_what_to_train_next(small_fit, small_plan, decided):
    found = next_runs(small_fit, small_plan)
    drawn = {"next_run_value": plots.next_run_value(found)}
    page = Page(build_report(small_fit, drawn, plan=small_plan, decisions=decided, next_run=found))
    plt.close(drawn["next_run_value"])
    assert page.values("svg", "aria-label") == [FIGURES["next_run_value"]]
    assert page.text.index("What to train next") < page.text.index("Evidence")
    assert advice_text.best_run(found) in page.text
    assert page.wrong == []


def test_a_page_without_money_has_no_next_run(full):
    assert "What to train next" not in full
