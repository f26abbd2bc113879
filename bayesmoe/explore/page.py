"""The page: sliders on the left, the recommended design and its bands on the right."""

from __future__ import annotations

import dataclasses
import io
from pathlib import Path
from typing import Any

import panel as pn
from markupsafe import escape

from bayesmoe.decisions.text import headline
from bayesmoe.explore.charts import charts, columns
from bayesmoe.explore.preview import Answer, Previewer
from bayesmoe.explore.sliders import Slider, sliders, turned
from bayesmoe.inference.store import FitInfo
from bayesmoe.planning.problems import asked_problems
from bayesmoe.planning.scenario import Scenario
from bayesmoe.reporting import text
from bayesmoe.reporting.decision import card
from bayesmoe.reporting.render import STYLE, rendered_card
from bayesmoe.specs import to_toml

_LOOK = Path(__file__).with_name("page.css")
_NOTE = "Arrow keys step a slider. The report plans on every draw and takes longer."


def page(asker: Previewer, scenario: Scenario) -> Any:
    """A page of its own for one visitor.

    Parameters
    ----------
    asker : Asker
        Answers questions about the fit.
    scenario : Scenario
        Where the sliders start.

    Returns
    -------
    panel layout
    """
    return _Page.opened(asker, scenario).layout


@dataclasses.dataclass(frozen=True)
class _Page:
    asker: Previewer
    scenario: Scenario
    sliders: list[Slider]
    problem: Any
    widgets: list[Any]
    card: Any
    said: Any
    charts: dict[str, Any]
    layout: Any
    as_opened: dict[str, Answer]

    @classmethod
    def opened(cls, asker: Previewer, scenario: Scenario) -> _Page:
        """With the scenario's first problem answered, and every widget listened to."""
        known = sliders(scenario)
        problem = pn.widgets.Select(
            name="Problem", options={one.title: one.name for one in asked_problems(scenario)}, sizing_mode="stretch_width"
        )
        widgets = [
            pn.widgets.DiscreteSlider(
                name=one.label, options=one.options(), value=one.start, sizing_mode="stretch_width", margin=(8, 10)
            )
            for one in known
        ]
        first = asker.ask(scenario.problems[0], scenario)
        drawn = charts(first.decision)
        shown, said = (pn.pane.HTML("", sizing_mode="stretch_width", stylesheets=sheets) for sheets in ([_style()], []))
        made: _Page
        exports = pn.Row(
            pn.widgets.FileDownload(
                callback=lambda: io.StringIO(to_toml(made.asked)), filename="scenario.toml", label="Scenario (TOML)"
            ),
            pn.widgets.FileDownload(
                callback=lambda: io.StringIO(asker.report(made.asked)), filename="report.html", label="Report (HTML)"
            ),
        )
        left = pn.Column(
            pn.pane.HTML(f"<h1>{escape(scenario.name)}</h1>", stylesheets=[_style()]),
            problem,
            *widgets,
            exports,
            pn.pane.HTML(f"<p>{_NOTE}</p>"),
            width=330,
        )
        panes = [pn.pane.Bokeh(one.figure, sizing_mode="stretch_width") for one in drawn.values()]
        grid = pn.GridBox(*panes, ncols=2, sizing_mode="stretch_width")
        right = pn.Column(shown, said, grid, sizing_mode="stretch_width", max_width=1000)
        layout = pn.Row(left, right, sizing_mode="stretch_width")
        made = cls(asker, scenario, known, problem, widgets, shown, said, drawn, layout, {problem.value: first})
        made.show(first)
        for widget in (problem, *widgets):
            widget.param.watch(lambda _: made.show(asker.ask(problem.value, made.asked)), "value")
        return made

    @property
    def asked(self) -> Scenario:
        """The scenario that the sliders stand for."""
        found = self.scenario
        for slider, widget in zip(self.sliders, self.widgets, strict=True):
            found = turned(found, slider, widget.value)
        return found

    def show(self, answer: Answer) -> None:
        """Put an answer on the page."""
        asked, problem, gate = self.asked, self.problem.value, answer.gate
        parts = f'<div class="banner {gate.verdict}"><p><span class="verdict">Gate: {gate.verdict}.</span> {text.gate(gate.verdict, gate.method)}</p>'
        parts += f"<ul>{''.join(f'<li>{escape(line)}</li>' for line in text.findings(gate.checks))}</ul></div>"
        if FitInfo.read(self.asker.fit).data_simulated:
            parts += f'<p class="banner REVIEW">{text.SIMULATED}</p>'
        parts += rendered_card(card(answer.decision))
        if asked != self.scenario:
            if problem not in self.as_opened:
                self.as_opened[problem] = self.asker.ask(problem, self.scenario)
            parts += f"<p>As opened: {escape(headline(self.as_opened[problem].decision))}</p>"
        self.card.object = parts
        self.said.object = f"<p>{answer.draws} draws, answered in {1000 * answer.seconds:.0f} ms.</p>"
        for name, found in columns(answer.decision).items():
            self.charts[name].source.data = found


def _style() -> str:
    return STYLE.read_text(encoding="utf-8") + _LOOK.read_text(encoding="utf-8")
