"""The page: sliders on the left, the recommended design and its bands on the right."""

from __future__ import annotations

import dataclasses
import io
from pathlib import Path
from typing import Any

import panel as pn
from markupsafe import escape

from bayesmoe.errors import InputError
from bayesmoe.explore.charts import charts, columns
from bayesmoe.explore.preview import Answer, Previewer
from bayesmoe.explore.sliders import Slider, sliders, turned
from bayesmoe.inference.store import FitInfo
from bayesmoe.planning.choices import STARTING_COUNTS
from bayesmoe.planning.problems import asked_problems
from bayesmoe.planning.scenario import Scenario
from bayesmoe.reporting import text
from bayesmoe.reporting.brief import brief
from bayesmoe.reporting.decision import card
from bayesmoe.reporting.render import STYLE, rendered_answer
from bayesmoe.specs import to_toml
from bayesmoe.units import experts

_LOOK = Path(__file__).with_name("page.css")
_HALF = {"flex": "1 1 340px", "width": "auto", "min-width": "0"}
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
    counts: Any
    constraint: Any
    card: Any
    said: Any
    charts: dict[str, Any]
    layout: Any
    as_opened: dict[str, Answer]

    @classmethod
    def opened(cls, asker: Previewer, scenario: Scenario) -> _Page:
        """With the scenario's goal answered, and every widget listened to."""
        known, look = sliders(scenario), {"sizing_mode": "stretch_width", "stylesheets": [_style()]}
        goal = scenario.goal or scenario.problems[0]
        titles = {one.title: one.name for one in asked_problems(scenario)}
        problem = pn.widgets.Select(name="Problem", options=titles, value=goal, **look)
        widgets = [
            pn.widgets.DiscreteSlider(name=one.label, options=one.options(), value=one.start, margin=(8, 10), **look)
            for one in known
        ]
        counts = pn.widgets.MultiSelect(
            name="Expert counts (none: automatic)",
            options={experts(count): count for count in sorted({*STARTING_COUNTS, *scenario.choices.counts})},
            value=list(scenario.choices.num_experts or ()),
            size=5,
            **look,
        )
        constraint = pn.widgets.TextInput(
            name="Constraints, apart by ;",
            value="; ".join(scenario.limits.constraints),
            placeholder="n_total < 3e10; train_usd < 2e6",
            **look,
        )
        first = asker.ask(goal, scenario)
        drawn = charts(first.decision)
        shown, said = (pn.pane.HTML("", **look) for _ in range(2))
        made: _Page
        exports = pn.Row(
            pn.widgets.FileDownload(
                callback=lambda: io.StringIO(to_toml(made.asked)), filename="scenario.toml", label="Scenario (TOML)"
            ),
            pn.widgets.FileDownload(
                callback=lambda: io.StringIO(asker.report(made.asked)), filename="report.html", label="Report (HTML)"
            ),
        )
        title, note = (pn.pane.HTML(text, **look) for text in (f"<h1>{escape(scenario.name)}</h1>", f"<p>{_NOTE}</p>"))
        left = pn.Column(
            title, problem, *widgets, counts, constraint, exports, note, styles={"flex": "1 1 320px", "max-width": "420px"}
        )
        panes = [pn.pane.Bokeh(one.figure, sizing_mode="stretch_width", styles=_HALF) for one in drawn.values()]
        right = pn.Column(
            shown,
            said,
            pn.FlexBox(*panes, sizing_mode="stretch_width"),
            styles={"flex": "3 1 340px", "min-width": "0", "max-width": "1000px"},
        )
        # On a phone, where they do not fit side by side, the answer comes before the widgets.
        layout = pn.FlexBox(left, right, flex_wrap="wrap-reverse", align_items="flex-end", sizing_mode="stretch_width")
        made = cls(asker, scenario, known, problem, widgets, counts, constraint, shown, said, drawn, layout, {goal: first})
        made.show(first)
        for widget in (problem, *widgets, counts, constraint):
            widget.param.watch(lambda _: made.answer(), "value")
        return made

    @property
    def asked(self) -> Scenario:
        """The scenario that the widgets stand for."""
        found = self.scenario
        for slider, widget in zip(self.sliders, self.widgets, strict=True):
            found = turned(found, slider, widget.value)
        choices = dataclasses.replace(found.choices, num_experts=tuple(sorted(self.counts.value)) or None)
        constraints = tuple(filter(None, map(str.strip, self.constraint.value.split(";"))))
        limits = dataclasses.replace(found.limits, constraints=constraints)
        return dataclasses.replace(found, choices=choices, limits=limits)

    def answer(self) -> None:
        """Ask anew, or say why that cannot be asked; what was shown then stays."""
        try:
            self.show(self.asker.ask(self.problem.value, self.asked))
        except InputError as error:
            self.said.object = f'<p class="banner FAIL">{escape(str(error))}</p>'

    def show(self, answer: Answer) -> None:
        """Put an answer on the page."""
        asked, problem, gate = self.asked, self.problem.value, answer.gate
        parts = f'<div class="banner {gate.verdict}"><p><span class="verdict">Gate: {gate.verdict}.</span> {text.gate(gate.verdict, gate.method)}</p>'
        if FitInfo.read(self.asker.fit).data_simulated:
            parts += f"<p>{text.SIMULATED}</p>"
        parts += f"</div>{rendered_answer(brief(answer.decision, gate), card(answer.decision))}"
        if asked != self.scenario:
            if problem not in self.as_opened:
                self.as_opened[problem] = self.asker.ask(problem, self.scenario)
            opened = self.as_opened[problem]
            parts += f"<p>As opened: {escape(brief(opened.decision, opened.gate).sentence)}</p>"
        self.card.object = parts
        self.said.object = f"<p>{answer.draws} draws, answered in {1000 * answer.seconds:.0f} ms.</p>"
        for name, found in columns(answer.decision).items():
            drawn = self.charts[name]
            drawn.figure.x_range.factors = found["experts"]
            drawn.source.data = found


def _style() -> str:
    return STYLE.read_text(encoding="utf-8") + _LOOK.read_text(encoding="utf-8")
