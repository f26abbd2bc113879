"""TOML into frozen specs: every broken key is named with its place, its value and the nearest known word."""

from __future__ import annotations

import dataclasses
from typing import Annotated

import pytest
from pydantic import Field, Tag, model_validator

from bayesmoe.errors import InputError
from bayesmoe.specs import NUMBER, NUMBER_OR_SPREAD, SPREAD, from_json, from_mapping, read_toml, spec, to_json


@spec
class Spread:
    """A number known up to a factor."""

    median: Annotated[float, Field(gt=0)]
    log_sd: Annotated[float, Field(ge=0)]


Minutes = Annotated[Annotated[Annotated[float, Field(gt=0)], Tag(NUMBER)] | Annotated[Spread, Tag(SPREAD)], NUMBER_OR_SPREAD]


@spec
class Oven:
    """A nested section."""

    degrees: Annotated[float, Field(gt=0)]
    rack: Annotated[int, Field(ge=1)] = 2
    minutes: Minutes = 30.0


@spec
class Recipe:
    """A whole file."""

    oven: Oven
    title: str = "bread"
    guest: Oven | None = None
    spices: dict[str, Spread] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _no_soup(self) -> Recipe:
        if self.title == "soup":
            raise InputError("needs no oven", column="title", value=self.title, hint="use a stove")
        if self.title == "salad":
            raise ValueError("A salad is raw")
        return self


OVEN = "[oven]\ndegrees = 220\n"


@pytest.fixture
def read(tmp_path):
    """Read a text as a recipe, and return it or what its error says after the file it names."""

    def reading(text: str) -> Recipe | str:
        path = tmp_path / "recipe.toml"
        path.write_text(text)
        try:
            return read_toml(path, Recipe)
        except InputError as error:
            return str(error).removeprefix(str(error.file))

    return reading


def test_a_file_becomes_a_spec_with_defaults(read):
    assert read(OVEN + "minutes = { median = 40, log_sd = 0.1 }\n") == Recipe(
        oven=Oven(degrees=220.0, rack=2, minutes=Spread(median=40.0, log_sd=0.1))
    )


def test_specs_are_frozen_and_keyword_only():
    oven = Oven(degrees=220.0)
    with pytest.raises(dataclasses.FrozenInstanceError):
        oven.rack = 3
    with pytest.raises(InputError, match="degrees"):
        Oven(220.0)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("titel = 'x'\n" + OVEN, ", titel: is not a known key; did you mean 'title'?"),
        ("zzz = 1\n" + OVEN, ", zzz: is not a known key; known: guest, oven, spices, title."),
        (OVEN + "degres = 1\n", ", oven.degres: is not a known key; did you mean 'degrees'?"),
        (OVEN + "[guest]\ndegrees = 1\nrak = 1\n", ", guest.rak: is not a known key; did you mean 'rack'?"),
        (
            OVEN + "[spices.salt]\nmedian = 1\nlog_sd = 1\nlog_sdd = 1\n",
            ", spices.salt.log_sdd: is not a known key; did you mean 'log_sd'?",
        ),
    ],
)
def test_unknown_keys_are_named_with_their_section_and_the_nearest_known_one(read, text, says):
    assert read(text) == says


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("title = 'x'\n", ", oven: is required; add it."),
        ("[oven]\nrack = 1\n", ", oven.degrees: is required; add it."),
        (OVEN + "[spices.salt]\nmedian = 1\n", ", spices.salt.log_sd: is required; add it."),
    ],
)
def test_missing_keys_are_named(read, text, says):
    assert read(text) == says


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[oven]\ndegrees = -3\n", ", oven.degrees: should be greater than 0, found -3."),
        (
            "[oven]\ndegrees = 'hot'\n",
            ", oven.degrees: should be a valid number, unable to parse string as a number, found 'hot'.",
        ),
        ("[oven]\ndegrees = nan\n", ", oven.degrees: should be a finite number, found nan."),
        ("[oven]\ndegrees = inf\n", ", oven.degrees: should be a finite number, found inf."),
        (OVEN + "rack = 0\n", ", oven.rack: should be greater than or equal to 1, found 0."),
        (OVEN + "rack = 1.5\n", ", oven.rack: should be a valid integer, got a number with a fractional part, found 1.5."),
        ("oven = 3\n", ", oven: should be a dictionary or an instance of Oven, found 3."),
    ],
)
def test_wrong_values_are_named_with_the_rule(read, text, says):
    assert read(text) == says


def test_a_rule_of_the_whole_spec_is_said_in_its_own_words(read):
    assert read("title = 'salad'\n" + OVEN) == ": a salad is raw."


def test_a_validator_that_knows_the_cure_learns_the_file(read):
    assert read("title = 'soup'\n" + OVEN) == ", title: needs no oven, found 'soup'; use a stove."


def test_a_misspelt_key_is_named_before_the_key_it_leaves_missing(read):
    assert read("[oven]\ndegres = 220\n") == ", oven.degres: is not a known key; did you mean 'degrees'?"


def test_a_number_or_a_spread_is_named_by_its_key_alone(read):
    assert read(OVEN + "minutes = -1\n") == ", oven.minutes: should be greater than 0, found -1."


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("minutes = { median = 40, sd = 0.1 }\n", "oven.minutes.sd: is not a known key"),
        ("minutes = { median = 40 }\n", "oven.minutes.log_sd: is required"),
        (
            "minutes = { median = 40, log_sd = -0.1 }\n",
            "oven.minutes.log_sd: should be greater than or equal to 0, found -0.1",
        ),
    ],
)
def test_what_is_wrong_inside_a_spread_is_named(read, text, says):
    assert says in read(OVEN + text)


def test_a_file_that_is_not_toml_is_said_with_the_line(read):
    assert (
        read("[oven]\ndegrees =\n")
        == ": is not TOML (Invalid value (at line 2, column 10)); put text in quotes, and see the examples in models/."
    )


def test_a_missing_file(tmp_path):
    with pytest.raises(InputError) as caught:
        read_toml(tmp_path / "none.toml", Recipe)
    assert str(caught.value) == f"{tmp_path / 'none.toml'}: no such file; check the path."


def test_a_file_that_is_not_text(tmp_path):
    (tmp_path / "recipe.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match=r"recipe\.toml: is not TOML: not text in UTF-8 \(byte 1\)"):
        read_toml(tmp_path / "recipe.toml", Recipe)


def test_a_folder_is_not_a_file(tmp_path):
    with pytest.raises(InputError, match="is a folder, not a TOML file"):
        read_toml(tmp_path, Recipe)


def test_a_file_of_another_kind_is_told_by_its_keys(tmp_path):
    (tmp_path / "recipe.toml").write_text("[stable]\nhorses = 2\n")
    with pytest.raises(InputError) as caught:
        read_toml(tmp_path / "recipe.toml", Recipe, others={"stable": ("is a farm, not a recipe", "feed it")})
    assert str(caught.value) == f"{tmp_path / 'recipe.toml'}: is a farm, not a recipe; feed it."


def test_a_byte_order_mark_and_windows_line_ends_are_read(tmp_path):
    (tmp_path / "recipe.toml").write_bytes("\ufefftitle = 'x'\r\n[oven]\r\ndegrees = 220\r\n".encode())
    assert read_toml(tmp_path / "recipe.toml", Recipe).title == "x"


def test_a_mapping_without_a_file_names_the_key_only():
    with pytest.raises(InputError) as caught:
        from_mapping({"oven": {"degrees": 0}}, Recipe)
    assert str(caught.value) == "oven.degrees: should be greater than 0, found 0."


@pytest.mark.parametrize(
    "recipe",
    [
        Recipe(oven=Oven(degrees=180.5)),
        Recipe(oven=Oven(degrees=1e21, minutes=Spread(median=0.1, log_sd=0.0)), guest=Oven(degrees=1), spices={}),
        Recipe(oven=Oven(degrees=1), title='"§"', spices={"salt": Spread(median=1, log_sd=2)}),
    ],
)
def test_json_brings_a_spec_back(recipe):
    assert from_json(to_json(recipe), Recipe) == recipe
