"""The gallery: every figure has its caption and its origin, and the same figure gives the same bytes."""

from __future__ import annotations

import re

import matplotlib.pyplot as plt
import pytest

from bayesmoe import plots
from bayesmoe.decisions.decide import decide
from bayesmoe.decisions.risk import risk
from bayesmoe.demo.gallery import (
    budget_figures,
    cluster_figures,
    law_figures,
    leverage_figures,
    plan_figures,
    save_figures,
    save_gallery,
    speedup_figures,
)
from bayesmoe.errors import InputError
from bayesmoe.reporting.build import BY_CHAIN, figures
from bayesmoe.reporting.captions import FIGURES, SECTIONS, gallery_page

SHOWN = {name for figures in SECTIONS.values() for name in figures}
BANDS = ("90%", "standard errors", "not bands")


@pytest.fixture(scope="module")
def made(small_fit, small_plan):
    """What the gallery draws of a fit and a plan, but of other runs."""
    decisions = decide(small_plan, advice=False)
    found = figures(small_fit, plan=small_plan, decisions=decisions) | plan_figures(small_plan, decisions)
    yield found
    for figure in found.values():
        plt.close(figure)


@pytest.fixture(scope="module")
def every(made, small_fit, scenario):
    """Those, and what it draws of other budgets, of leverage and of laws; these fit and plan anew."""
    # All are open at once, as they are where the gallery is drawn.
    with plt.rc_context({"figure.max_open_warning": 0}):
        found = (
            budget_figures(small_fit, scenario)
            | cluster_figures(scenario)
            | leverage_figures()
            | speedup_figures()
            | law_figures()
        )
    yield made | found
    for figure in found.values():
        plt.close(figure)


def test_every_figure_has_a_caption_and_an_origin() -> None:
    assert set(FIGURES) == SHOWN
    assert all(FIGURES.values())
    assert all(origin for figures in SECTIONS.values() for origin in figures.values())


def test_what_is_made_of_a_fit_and_a_plan_is_shown(made) -> None:
    assert set(made) < SHOWN


@pytest.mark.slow
def test_what_is_made_is_what_the_page_shows(every) -> None:
    assert set(every) | {"next_run_value", "tornado", "calibration", "law_weights"} == SHOWN


@pytest.mark.parametrize("name", sorted(SHOWN - {"best_experts", "regret_map", "prior_posterior", "trace", "rank"}))
def test_bands_are_explained(name) -> None:
    assert any(word in FIGURES[name] for word in BANDS)


def test_the_page_shows_every_picture_with_its_words() -> None:
    page = gallery_page()
    assert re.findall(r"!\[[^]]+\]\((\w+)\.png\)", page) == [name for figures in SECTIONS.values() for name in figures]
    assert re.findall(r"\[SVG\]\((\w+)\.svg\)", page) == re.findall(r"\((\w+)\.png\)", page)
    assert all(caption in page for caption in FIGURES.values())
    assert page.count("simulated") > len(SHOWN) - 2
    assert page.endswith("\n")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("figures", "count"),
    [
        pytest.param("made", 4, id="four figures"),
        pytest.param("every", None, marks=pytest.mark.sweep, id="every figure"),
    ],
)
def test_the_same_figures_give_the_same_bytes(request, tmp_path, figures, count) -> None:
    found = request.getfixturevalue(figures)
    made = {name: found[name] for name in sorted(found)[:count]}
    for folder in ("one", "two"):
        save_gallery(made, tmp_path / folder)
    first, second = ({path.name: path.read_bytes() for path in (tmp_path / name).iterdir()} for name in ("one", "two"))
    assert first == second
    assert set(first) == {"README.md"} | {f"{name}.{kind}" for name in made for kind in ("png", "svg")}
    for name, drawn in first.items():
        assert b"<dc:date>" not in drawn
        assert name.endswith(".md") or drawn.startswith(b"\x89PNG" if name.endswith(".png") else b"<svg")


def test_another_number_gives_other_bytes(small_plan, tmp_path) -> None:
    summary = risk(small_plan)
    for folder, factor in (("one", 1.0), ("two", 0.9)):
        figure = plots.best_experts(summary.assign(p_best=factor * summary["p_best"]))
        save_figures({"best_experts": figure}, tmp_path / folder)
        plt.close(figure)
    for kind in ("png", "svg"):
        one, two = ((tmp_path / folder / f"best_experts.{kind}").read_bytes() for folder in ("one", "two"))
        assert one != two


@pytest.mark.slow
def test_pictures_with_every_draw_stay_small(made, tmp_path) -> None:
    save_figures({name: made[name] for name in BY_CHAIN}, tmp_path)
    assert all((tmp_path / f"{name}.svg").stat().st_size < 1_000_000 for name in BY_CHAIN)


def test_a_folder_that_cannot_be_written_says_so(made, tmp_path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InputError, match="could not be written"):
        save_figures({"best_experts": made["best_experts"]}, tmp_path / "file")
