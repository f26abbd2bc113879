"""The site: every command and TOML in it can be read, and pages made from the code leave nothing out."""

from __future__ import annotations

import dataclasses
import re
import shlex
import sys
import tomllib
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import pytest
import typer

import bayesmoe as bm
from bayesmoe.architecture import read_shape
from bayesmoe.catalog import catalog
from bayesmoe.cli import app
from bayesmoe.costs.training_budget import Training
from bayesmoe.costs.workload import Serving
from bayesmoe.inference.spec import read_fit_spec
from bayesmoe.planning.reading import read_scenario
from bayesmoe.planning.reference import keys
from bayesmoe.planning.scenario import LimitsSpec
from bayesmoe.planning.traffic import TrafficSpec

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
WRITTEN = sorted([*DOCS.rglob("*.md"), *ROOT.glob("*.md"), ROOT / "examples" / "README.md"])
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
README_LINES, HAND_OFFS = 120, 20
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def pages():
    """The module that makes pages from the code."""
    sys.path.insert(0, str(DOCS))
    try:
        import pages

        yield pages
    finally:
        sys.path.remove(str(DOCS))


def blocks(path: Path) -> list[tuple[str, str]]:
    """Language and text of a page's blocks of code."""
    return BLOCK.findall(path.read_text(encoding="utf-8"))


def commands() -> list[tuple[str, str]]:
    """Every command in a block, with its page."""
    found = []
    for path in WRITTEN:
        for language, text in blocks(path):
            lines = [line.removeprefix("$ ") for line in text.splitlines() if language != "console" or line.startswith("$ ")]
            found += [(path.name, line) for line in lines if line.startswith("bayesmoe ") and language in ("", "console")]
    return found


@pytest.mark.parametrize(("page", "line"), commands(), ids=lambda value: value if value.startswith("bayesmoe") else "")
def test_a_command_of_the_docs_exists_and_takes_its_flags(page: str, line: str) -> None:
    # Comments, and a file that the output goes into, are the shell's.
    words = shlex.split(re.sub(r" > [\w./-]+$", "", line), comments=True)[1:]
    command: Any = typer.main.get_command(app)
    while hasattr(command, "commands"):
        assert words, line
        assert words[0] in command.commands, f"{page}: {line}"
        command = command.commands[words.pop(0)]
    with command.make_context(line, [word for word in words if word != "..."]):
        pass


def test_there_are_commands_of_every_kind() -> None:
    shown = {line.split()[1] for _, line in commands()}
    assert set(typer.main.get_command(app).commands) <= shown | {"demo"}


@pytest.mark.parametrize("path", WRITTEN, ids=lambda path: path.name)
def test_toml_in_the_docs_can_be_read(path: Path) -> None:
    for language, text in blocks(path):
        if language == "toml":
            tomllib.loads(text)


@pytest.mark.parametrize(
    ("page", "reader"),
    [("fit.md", read_fit_spec), ("plan.md", read_scenario), ("cost.md", read_shape)],
    ids=["fit", "plan", "cost"],
)
def test_toml_of_a_task_is_what_its_command_reads(page: str, reader: Any, tmp_path: Path) -> None:
    texts = [text for language, text in blocks(DOCS / "how-to" / page) if language == "toml"]
    assert texts
    for text in texts:
        (tmp_path / "one.toml").write_text(text, encoding="utf-8")
        reader(str(tmp_path / "one.toml"))


@pytest.fixture(scope="module")
def scenario_page(pages):
    """The page of scenarios, as the code makes it now."""
    import make_scenario

    return make_scenario.page()


def test_the_page_of_scenarios_is_the_codes(scenario_page) -> None:
    assert (DOCS / "scenario.md").read_text(encoding="utf-8") == scenario_page, "run docs/make_scenario.py"


def test_every_key_of_a_scenario_is_on_its_page_with_a_meaning(scenario_page) -> None:
    found: dict[str, set[str]] = {}
    section = ""
    for line in scenario_page.splitlines():
        heading = re.fullmatch(r"### \[(\w+)\]", line)
        section = heading[1] if heading else section
        row = re.match(r"\| `(\w+)` \| ([^|]+) \|", line)
        if row:
            found.setdefault(section, set()).add(row[1])
    for name, kind in {"training": Training, "serving": Serving, "limits": LimitsSpec, "traffic": TrafficSpec}.items():
        assert {field.name for field in dataclasses.fields(kind)} <= found[name]


def test_every_key_says_its_unit_and_where_its_default_comes_from() -> None:
    for key in keys():
        assert key.says, key.name
        assert key.about.unit or not isinstance(key.default, float), key.name
        # What only names or seeds a plan comes from nowhere.
        assert key.about.source or key.default is None or key.name in ("name", "seed"), key.name


def test_the_scenario_on_its_page_can_be_read(scenario_page, tmp_path) -> None:
    (text,) = [text for language, text in BLOCK.findall(scenario_page) if language == "toml"]
    (tmp_path / "one.toml").write_text(text, encoding="utf-8")
    notes: list[str] = []
    assert read_scenario(tmp_path / "one.toml", on_note=notes.append).serving.precision == "fp8"
    assert len(notes) == 3


def test_python_in_the_docs_compiles() -> None:
    for path in WRITTEN:
        for language, text in blocks(path):
            if language == "python":
                compile(text, str(path), "exec")


def test_every_law_and_command_has_its_place(pages) -> None:
    made = pages.all_pages()
    laws = [f"laws/{row.name.replace('/', '-')}.md" for row in catalog()]
    assert set(laws) <= set(made)
    assert all("## Columns" in made[place] for place in laws)
    assert all("```text\n" in made[place] for place in laws if "hyper" not in place), "no equation stands alone"
    for name, command in typer.main.get_command(app).commands.items():
        inside = getattr(command, "commands", None)
        for each in [f"{name} {below}" for below in inside] if inside else [name]:
            assert f"\n## {each}\n" in made["commands.md"]


def test_every_public_name_and_plot_has_its_place(pages) -> None:
    page = pages.api_page()
    shown = set(re.findall(r"^### bm\.([\w.]+)$", page, re.MULTILINE))
    assert shown == set(bm.__all__) - {"laws", "plots", "__version__"} | {f"plots.{name}" for name in bm.plots.__all__}
    assert "None" not in page.splitlines()


def test_docstrings_come_out_as_markdown(pages) -> None:
    text = pages.markdown(_documented)
    assert "**Parameters**\n\n- `x : float`: In `nats`; see `risk`." in text
    assert "``" not in text
    assert ":func:" not in text


def _documented(x: float) -> None:
    """One line, ``code``.

    Parameters
    ----------
    x : float
        In ``nats``; see :func:`~bayesmoe.decisions.risk.risk`.
    """


def test_no_page_needs_another_machine() -> None:
    configuration = (ROOT / "mkdocs.yml").read_text()
    assert "font: false" in configuration
    assert "analytics" not in configuration
    assert not re.search(r"https?://", configuration)


def test_the_readme_is_one_page() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= README_LINES


def test_links_between_the_pages_lead_somewhere() -> None:
    made = {"commands.md", "api.md", "examples.md", "index.md"}
    for path in WRITTEN:
        for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", path.read_text(encoding="utf-8")):
            place = (path.parent / target).resolve()
            generated = place.name in made or place.parent.name == "laws"
            assert place.exists() or (generated and DOCS in place.parents), f"{path.name}: {target}"


def test_the_trip_of_a_table_is_the_codes() -> None:
    trip = CONTRIBUTING.partition("## From a table to a report")[2].partition("\n## ")[0]
    assert 10 <= len(re.findall(r"^\d+\. ", trip, re.MULTILINE)) <= HAND_OFFS
    for path in set(re.findall(r"`(bayesmoe(?:\.\w+)+)`", CONTRIBUTING)):
        resolve_name(path)


def test_every_room_is_on_the_map_and_no_other() -> None:
    folder = ROOT / "bayesmoe"
    rooms = {path.stem for path in folder.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    drawn = CONTRIBUTING.partition("## Map of the house")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (`.*?) \|", drawn, re.MULTILINE)
    assert {name for row in rows for name in re.findall(r"`(\w+)`", row)} == rooms - {"__init__"}
