"""Specs in: frozen pydantic dataclasses read from TOML, with unknown keys and bad values reported in one sentence."""

from __future__ import annotations

import functools
import re
import tomllib
from collections.abc import Mapping
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple, dataclass_transform

from pydantic import ConfigDict, Discriminator, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass as pydantic_dataclass
from pydantic_core import ArgsKwargs

from bayesmoe.errors import InputError, nearest

CONFIG = ConfigDict(extra="forbid", allow_inf_nan=False, arbitrary_types_allowed=False)


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(Field,))
def spec[T](cls: type[T]) -> type[T]:
    """Class decorator: a frozen, keyword-only dataclass whose fields pydantic validates and whose unknown keys it refuses."""
    made: Any = pydantic_dataclass(frozen=True, kw_only=True, config=CONFIG)(cls)
    validated = made.__init__

    @functools.wraps(validated)
    def initialize(self: Any, *args: Any, **values: Any) -> None:
        try:
            validated(self, *args, **values)
        except ValidationError as error:
            raise _as_input_error(error, made, None) from error

    made.__init__ = initialize
    return made


class About(NamedTuple):
    """What a key of a file is beside its type: put it into the ``Annotated`` of a field.

    Attributes
    ----------
    unit : str
        Unit of the value.
    source : str
        Where the default comes from.
    least, most : float, optional
        Values beyond which somebody meant something else.
    hint : str
        What to do about such a value.
    """

    unit: str = ""
    source: str = ""
    least: float | None = None
    most: float | None = None
    hint: str = ""

    @property
    def plausible(self) -> str:
        """The plausible range in words; empty without one."""
        ends = [None if end is None else f"{end:g}".replace("e+", "e").replace("e0", "e") for end in (self.least, self.most)]
        if ends == [None, None]:
            return ""
        return (
            f"at most {ends[1]}"
            if ends[0] is None
            else f"at least {ends[0]}"
            if ends[1] is None
            else f"{ends[0]} to {ends[1]}"
        )


NUMBER, SPREAD, WORD = "a number", "a spread", "a word"


def _written_as(value: Any) -> str:
    return NUMBER if isinstance(value, int | float | str) else SPREAD


def written_as(value: Any) -> str:
    """Which of :data:`NUMBER`, :data:`SPREAD` and :data:`WORD` a value is written as; a number in quotes is one."""
    if not isinstance(value, str):
        return _written_as(value)
    try:
        float(value)
    except ValueError:
        return WORD
    return NUMBER


NUMBER_OR_SPREAD = Discriminator(_written_as)
"""Tells a plain number from a table with a spread, so that a complaint is about the one that was written: annotate the two
with ``Tag(NUMBER)`` and ``Tag(SPREAD)`` and their union with this."""


def read_toml[T](path: str | Path, kind: type[T], *, others: Mapping[str, tuple[str, str]] = MappingProxyType({})) -> T:
    """Read a TOML file into a spec.

    Parameters
    ----------
    path : path
        The file.
    kind : type
        A class made by :func:`spec`.
    others : mapping of str to (str, str)
        Keys that identify a file of another kind, what it then is, and the hint.

    Raises
    ------
    InputError
        The file is missing, is not TOML, has an unknown key or a value that breaks a rule.
    """
    return from_mapping(load_toml(path, others=others), kind, file=path)


def load_toml(path: str | Path, *, others: Mapping[str, tuple[str, str]] = MappingProxyType({})) -> dict[str, Any]:
    """The tables of a TOML file as they are written; see :func:`read_toml`."""
    path = Path(path)
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError as error:
        raise InputError("no such file", file=path, hint="check the path") from error
    except (OSError, ValueError, RecursionError) as error:
        hint = "put text in quotes, and " if "Invalid value" in str(error) else ""
        raise InputError(_unread(error), file=path, hint=f"{hint}{_EXAMPLES}") from error
    for key, (rule, hint) in others.items():
        if key in raw:
            raise InputError(rule, file=path, hint=hint)
    return raw


_EXAMPLES = "see the examples in models/"


def _unread(error: Exception) -> str:
    """Why a file could not be read as TOML."""
    if isinstance(error, IsADirectoryError):
        return "is a folder, not a TOML file"
    if isinstance(error, OSError):
        return f"cannot be read ({error.strerror})"
    if isinstance(error, UnicodeDecodeError) and error.object.startswith(b"\x89HDF"):
        return "is netCDF, such as a fit or a plan, not TOML"
    if isinstance(error, UnicodeDecodeError):
        return f"is not TOML: not text in UTF-8 (byte {error.start + 1})"
    return "is not TOML (nested too deep)" if isinstance(error, RecursionError) else f"is not TOML ({error})"


def from_mapping[T](raw: dict[str, Any], kind: type[T], *, file: str | Path | None = None) -> T:
    """Build a spec from a plain mapping; see :func:`read_toml` for the errors."""
    try:
        return TypeAdapter(kind).validate_python(raw)
    except ValidationError as error:
        raise _as_input_error(error, kind, file) from error
    except InputError as error:
        # A validator that knows the hint does not know the file.
        raise InputError(error.rule, file=file, column=error.column, value=error.value, hint=error.hint) from error


def to_json(value: Any) -> str:
    """JSON text of a spec, for netCDF attributes."""
    return TypeAdapter(type(value)).dump_json(value).decode()


def to_toml(value: Any) -> str:
    """TOML text of a spec, which :func:`read_toml` reads again; values that are None are left out, as TOML has none."""
    import tomli_w

    return tomli_w.dumps(TypeAdapter(type(value)).dump_python(value, mode="json", exclude_none=True))


@lru_cache(maxsize=64)
def from_json[T](text: str, kind: type[T]) -> T:
    """Inverse of :func:`to_json`; specs are frozen, so one text is read once and shared."""
    return TypeAdapter(kind).validate_json(text)


def _as_input_error(error: ValidationError, kind: type, file: str | Path | None) -> InputError:
    # A misspelt key explains the key that it leaves missing.
    first = min(error.errors(include_url=False), key=lambda found: found["type"] not in _UNKNOWN)
    path = [part for part in first["loc"] if not _is_branch(part)]
    path, fields = _walked(kind, path)
    key = ".".join(map(str, path))
    if first["type"] in _UNKNOWN:
        known = list(fields)
        return InputError("is not a known key", file=file, column=key, hint=_hint_for_key(str(path[-1]), known))
    if first["type"] in ("missing", "missing_argument"):
        return InputError("is required", file=file, column=key, hint="add it")
    if first["type"] == "union_tag_not_found":
        return InputError("is required", file=file, column=f"{key}.kind", hint=f"known: {', '.join(fields)}")
    # What breaks a rule over several keys is named by the rule; the whole mapping would only hide it.
    value = None if isinstance(first["input"], dict | ArgsKwargs) else _brief(first["input"])
    return InputError(_rule(first["msg"]), file=file, column=key or None, value=value)


def _hint_for_key(name: str, known: list[str]) -> str:
    """The known key that is a slip away, or all of them: keys that share a word and mean something else are no proposal."""
    slips = [one for one in known if _may_be_a_slip(name, one)]
    if get_close_matches(name, slips, n=1):
        return nearest(name, slips)
    named = sorted(known)
    # A sentence that nobody reads to its end says nothing.
    while len(", ".join(named)) > _LONGEST_LIST:
        named.pop()
    more = len(known) - len(named)
    return f"known: {', '.join(named)}{f' and {more} more' if more else ''}"


_LONGEST_LIST = 400
"""Characters of all known keys that a sentence may hold."""


def _may_be_a_slip(name: str, known: str) -> bool:
    """Whether two keys have the same words, each spelled nearly the same, with at most one word more or less."""
    ours, theirs = (set(re.findall(r"[a-z0-9]+", one.lower())) for one in (name, known))
    left = [word for word in ours - theirs if not get_close_matches(word, theirs - ours, n=1)]
    right = [word for word in theirs - ours if not get_close_matches(word, ours - theirs, n=1)]
    return len(left) + len(right) <= 1


_UNKNOWN = ("unexpected_keyword_argument", "extra_forbidden")


def _is_branch(part: Any) -> bool:
    """Whether a part of an error's path names a branch of a union (see ``NUMBER_OR_SPREAD``, ``written_as``), not a key."""
    return part in (NUMBER, SPREAD, WORD)


def _rule(message: str) -> str:
    message = message.removeprefix("Value error, ").removeprefix("Input ")
    # To those who write TOML it is a list.
    message = message.replace("a valid tuple", "a list in square brackets")
    return message[0].lower() + message[1:]


def _brief(value: Any) -> Any:
    return value if isinstance(value, (int, float, str, bool)) else str(value)[:60]


def _walked(kind: Any, path: list[Any]) -> tuple[list[Any], dict[str, Any]]:
    """A path without the tags of unions discriminated by their ``kind``, and the fields of what holds its last key (or of its branches)."""
    kept, fields = [], dict(getattr(kind, "__pydantic_fields__", {}))
    branches: dict[str, Any] = {}
    for i, part in enumerate(path):
        if part in branches:
            fields, branches = dict(branches[part].__pydantic_fields__), {}
            continue
        kept.append(part)
        if part in fields and (i < len(path) - 1 or _branches(fields[part].annotation)):
            annotation = fields[part].annotation
            branches = _branches(annotation)
            fields = next(
                (dict(c.__pydantic_fields__) for c in _members(annotation) if hasattr(c, "__pydantic_fields__")), {}
            )
            if branches:
                fields = branches
    return kept, fields


def _members(annotation: Any) -> list[Any]:
    """What an annotation is made of, unions within unions included."""
    return [annotation, *(inner for part in getattr(annotation, "__args__", ()) for inner in _members(part))]


def _branches(annotation: Any) -> dict[str, Any]:
    """Members of a union discriminated by a ``kind``, by that kind."""
    found = {}
    for member in _members(annotation)[1:]:
        if "kind" in getattr(member, "__pydantic_fields__", {}):
            found[member.__pydantic_fields__["kind"].default] = member
    return found
