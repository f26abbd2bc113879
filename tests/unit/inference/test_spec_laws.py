"""Laws and priors of a spec: known ones, a law of your own, and what is refused."""

from __future__ import annotations

import math

import pytest

from bayesmoe.errors import InputError
from bayesmoe.inference.priors import coordinates_of
from bayesmoe.inference.spec import (
    LawSpec,
    PriorSpec,
    law_of,
)
from bayesmoe.laws import Chinchilla, Law, Ludziejewski, Yun, all_laws


def complaint(function, *arguments, **named) -> str:
    """What is said about them."""
    with pytest.raises(InputError) as caught:
        function(*arguments, **named)
    return str(caught.value)


MY_LAW = """
from dataclasses import dataclass
from bayesmoe.laws import Law, Yun

@dataclass(frozen=True)
class MyLaw(Yun):
    name = "mine"
    twist: float = 1.0

class NotALaw:
    pass
"""


@pytest.fixture
def my_module(tmp_path, monkeypatch):
    """Write a module of the user's own and return its name."""
    monkeypatch.syspath_prepend(tmp_path)

    def write(name: str, text: str) -> str:
        (tmp_path / f"{name}.py").write_text(text)
        return name

    return write


@pytest.mark.parametrize(
    ("law", "expected"),
    [
        (LawSpec(), Yun()),
        (LawSpec(size="n_active"), Yun(size="n_active")),
        (LawSpec(options={"interaction": "paper"}), Yun(interaction="paper")),
        (LawSpec(name="chinchilla"), Chinchilla(size="n_total")),
        (LawSpec(name="chinchilla", size="n_dense"), Chinchilla(size="n_dense")),
        (LawSpec(name="ludziejewski"), Ludziejewski(size="n_active")),
    ],
)
def test_a_law_by_its_name(law, expected):
    assert law_of(law) == expected


@pytest.mark.parametrize(
    ("name", "hint"),
    [("yunn", "did you mean 'yun'?"), ("zzz", f"known: {', '.join(sorted(law.name for law in all_laws))}")],
)
def test_an_unknown_law(name, hint):
    said = complaint(law_of, LawSpec(name=name))
    assert said == f"law: is not a known law, found {name!r}; {hint} (your own: package.module:MyLaw)."


def test_an_unknown_option_of_a_law():
    said = complaint(law_of, LawSpec(options={"interactio": "paper"}))
    assert said == "interactio: is not an option of the law 'yun'; did you mean 'interaction'?"


@pytest.mark.parametrize("options", [{"interaction": "paperr"}, {"size": "n"}])
def test_a_wrong_value_of_an_option(options):
    assert next(iter(options.values())) in complaint(law_of, LawSpec(options=options))


def test_a_law_of_your_own(my_module):
    found = law_of(LawSpec(name=f"{my_module('laws_good', MY_LAW)}:MyLaw", size="n_total", options={"twist": 2.0}))
    assert isinstance(found, Law)
    assert (found.name, found.size, found.twist) == ("mine", "n_total", 2.0)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("no_such_package_here:MyLaw", "cannot be imported (No module named 'no_such_package_here')"),
        ("laws_other:MyLw", "cannot be imported (module 'laws_other' has no attribute 'MyLw')"),
        ("laws_other:", "cannot be imported (module 'laws_other' has no attribute '')"),
        (":MyLaw", "cannot be imported (Empty module name)"),
        ("laws_other:NotALaw", "is not a subclass of bayesmoe.laws.Law"),
        ("laws_other:dataclass", "is not a subclass of bayesmoe.laws.Law"),
    ],
)
def test_a_law_of_your_own_that_cannot_be_used(my_module, name, says):
    my_module("laws_other", MY_LAW)
    assert complaint(law_of, LawSpec(name=name)).startswith(f"law: {says}, found {name!r}; ")


@pytest.mark.parametrize(
    ("module", "text"),
    [("laws_syntax", "def (\n"), ("laws_undefined", "x = undefined\n"), ("laws_raising", "raise RuntimeError('x')\n")],
)
def test_a_module_that_does_not_run(my_module, module, text):
    said = complaint(law_of, LawSpec(name=f"{my_module(module, text)}:MyLaw"))
    assert said.startswith("law: cannot be imported (")


def test_a_module_that_fails_at_length_is_told_in_one_line(my_module):
    name = my_module("laws_lengthy", "raise RuntimeError('first\\nsecond')\n")
    said = complaint(law_of, LawSpec(name=f"{name}:MyLaw"))
    assert said.startswith("law: cannot be imported (first")
    assert "\n" not in said


@pytest.mark.parametrize(
    ("module", "body"), [("laws_bare", "    twist: float = 1.0"), ("laws_array", "    table: np.ndarray | None = None")]
)
def test_a_law_that_cannot_work_is_refused_by_name(my_module, module, body):
    head = "import numpy as np\nfrom dataclasses import dataclass\nfrom bayesmoe.laws import Law\n"
    name = my_module(module, f"{head}@dataclass(frozen=True)\nclass MyLaw(Law):\n{body}\n")
    assert complaint(law_of, LawSpec(name=f"{name}:MyLaw")).startswith("law: ")


@pytest.mark.parametrize("name", [".relative:MyLaw", "bayesmoe.laws.base:Law"])
def test_neither_a_relative_module_nor_the_bare_base_is_a_law(name):
    assert complaint(law_of, LawSpec(name=name)).startswith("law: ")


# Priors


def priors(**given: PriorSpec) -> dict[str, object]:
    """Coordinates of Yun's law by name, with some priors given."""
    return {coordinate.name: coordinate for coordinate in coordinates_of(Yun(), given)}


def test_without_priors_the_laws_own_hold():
    assert coordinates_of(Yun(), {}) == Yun.coordinates


@pytest.mark.parametrize(
    ("name", "median", "mean"),
    [
        ("gain", 0.2, math.log(0.2)),
        ("e_start", 3.0, math.log(2.0)),
        ("reducible", 0.25, math.log(1 / 3)),
        ("interaction", -0.5, -0.5),
    ],
)
def test_a_prior_is_given_on_the_value_and_held_on_the_real_line(name, median, mean):
    found = priors(**{name: PriorSpec(median=median, sd=0.3, group_spread=0.7)})
    assert found[name].mean == pytest.approx(mean)
    assert (found[name].sd, found[name].spread) == (0.3, 0.7)
    assert [found[c.name] for c in Yun.coordinates if c.name != name] == [c for c in Yun.coordinates if c.name != name]


def test_a_prior_without_a_group_spread_keeps_the_laws():
    own = next(c for c in Yun.coordinates if c.name == "gain")
    assert priors(gain=PriorSpec(median=0.2, sd=0.3))["gain"].spread == own.spread


def test_a_prior_of_an_unknown_coordinate():
    said = complaint(priors, gian=PriorSpec(median=0.2, sd=0.3))
    assert said == "law.priors.gian: is not a coordinate of the law 'yun'; did you mean 'gain'?"


@pytest.mark.parametrize(
    ("name", "median", "support"),
    [
        ("gain", 0.0, "positive"),
        ("gain", -0.1, "positive"),
        ("e_start", 1.0, "above_one"),
        ("e_start", 0.5, "above_one"),
        ("reducible", 0.0, "unit"),
        ("reducible", 1.0, "unit"),
        ("reducible", 1.5, "unit"),
    ],
)
def test_a_median_outside_the_support(name, median, support):
    said = complaint(priors, **{name: PriorSpec(median=median, sd=0.3)})
    assert said == f"law.priors.{name}.median: must lie inside the support ({support}), found {median}."
