"""The report as a reader sees it: whole, still, readable in the light, in the dark, on a phone and on paper."""

from __future__ import annotations

import html5lib
import pytest
from axe_playwright_python.sync_playwright import Axe

from bayesmoe.reporting import build

LOOKS = {
    "light": {},
    "dark": {"scheme": "dark"},
    "phone": {"width": 390, "height": 844},
    "print": {"media": "print"},
}
FIGURES, FOLDED = 10, 3


@pytest.fixture(scope="module")
def report(small_fit, small_plan, tmp_path_factory):
    """The small fit's report as a file."""
    path = tmp_path_factory.mktemp("report") / "report.html"
    build.save_report(build.report(small_fit, small_plan), path)
    return path


@pytest.fixture(params=[look if look == "light" else pytest.param(look, marks=pytest.mark.slow) for look in LOOKS])
def shown(request, open_page, report, keep):
    """The report in one of its looks, with a screenshot kept."""
    page, seen = open_page(**LOOKS[request.param])
    page.goto(report.as_uri())
    keep(page, f"report-{request.param}")
    return page, seen


def violations(page):
    """What a checker of accessibility finds."""
    found = Axe().run(page)
    return [f"{one['id']}: {one['nodes'][0]['html'][:120]}" for one in found.response["violations"]]


def test_nothing_is_complained_of_and_nobody_is_asked(shown):
    page, seen = shown
    assert seen.errors == []
    assert seen.strangers == []
    assert page.evaluate("performance.getEntriesByType('resource').filter(one => !one.name.startsWith('data:')).length") == 0


def test_every_figure_is_drawn(shown):
    page, _ = shown
    page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
    sizes = page.evaluate(
        "[...document.querySelectorAll('figure > svg, figure > img')].map(one => {const box = one.getBoundingClientRect();"
        " return [box.width, box.height, one.tagName === 'IMG' ? one.naturalWidth : one.querySelectorAll('path').length]})"
    )
    if page.evaluate("matchMedia('print').matches"):
        # What is folded is not printed.
        sizes = [one for one in sizes if one[0]]
        assert len(sizes) >= FIGURES - FOLDED
    else:
        assert len(sizes) >= FIGURES
    assert all(min(one) > 20 for one in sizes), sizes


def test_nothing_sticks_out(shown):
    page, _ = shown
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


@pytest.mark.parametrize(
    "look", ["light", pytest.param("dark", marks=pytest.mark.slow), pytest.param("phone", marks=pytest.mark.slow)]
)
def test_it_can_be_read_by_everybody(open_page, report, look):
    page, _ = open_page(**LOOKS[look])
    page.goto(report.as_uri())
    assert violations(page) == []


@pytest.mark.slow
def test_the_checker_notices_a_picture_without_words(open_page, report):
    page, _ = open_page()
    page.goto(report.as_uri())
    page.evaluate("document.querySelector('figure > svg').removeAttribute('aria-label')")
    page.evaluate("document.querySelectorAll('.headline').forEach(one => one.style.color = '#eeeeee')")
    assert {one.partition(":")[0] for one in violations(page)} >= {"color-contrast", "svg-img-alt"}


@pytest.mark.slow
def test_light_and_dark_differ(open_page, report):
    papers = []
    for scheme in ("light", "dark"):
        page, _ = open_page(scheme=scheme)
        page.goto(report.as_uri())
        papers.append(page.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert papers == ["rgb(255, 255, 255)", "rgb(22, 24, 27)"]


@pytest.mark.slow
def test_four_sheets_of_paper_hold_it_and_the_first_the_answer(open_page, report, tmp_path):
    page, _ = open_page(width=794)
    page.goto(report.as_uri())
    page.pdf(path=tmp_path / "report.pdf", format="A4")
    assert (tmp_path / "report.pdf").read_bytes().count(b"/Type /Page\n") <= 4
    page.emulate_media(media="print")
    # A sheet is 297 mm high, 1,123 px at 96 to the inch, with margins of 12 mm.
    bottom = page.evaluate("document.querySelector('.numbers').getBoundingClientRect().bottom + window.scrollY")
    assert bottom < 1123 - 2 * 45


@pytest.mark.slow
def test_the_first_screen_answers_the_five_questions(open_page, report):
    page, _ = open_page(width=1280, height=900)
    page.goto(report.as_uri())
    answers = page.locator(".answers")
    assert answers.locator("dt").all_inner_texts() == [
        "What to train",
        "How sure",
        "What it costs",
        "What could go wrong",
        "What next",
    ]
    box = answers.bounding_box()
    assert box["y"] + box["height"] <= 900


@pytest.mark.slow
def test_keys_reach_what_scrolls_and_what_folds(open_page, report):
    page, _ = open_page()
    page.goto(report.as_uri())
    reached = set()
    for _ in range(60):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.tagName + ' ' + (document.activeElement.className || '')").strip())
    assert {"DIV scroll numbers", "DIV scroll", "SUMMARY", "PRE"} <= reached


def test_it_is_html_without_a_fault(report):
    html = report.read_text(encoding="utf-8")
    html5lib.HTMLParser(strict=True).parse(html)
    with pytest.raises(html5lib.html5parser.ParseError):
        html5lib.HTMLParser(strict=True).parse(html.replace("</table>", "</tabel>", 1))


def test_a_figure_from_elsewhere_would_be_noticed(open_page, report, tmp_path):
    page, seen = open_page()
    broken = tmp_path / "broken.html"
    broken.write_text(report.read_text(encoding="utf-8").replace("<main>", '<main><img src="http://example.invalid/a.png">'))
    page.goto(broken.as_uri())
    assert seen.strangers == ["http://example.invalid/a.png"]
