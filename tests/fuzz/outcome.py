"""What may come of any input: a result, or one sentence; and files whole or not at all."""

from __future__ import annotations

import contextlib
import io
import sys
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple
from unittest.mock import patch

from bayesmoe.cli import main
from bayesmoe.errors import InputError


class ReachedError(Exception):
    """Input was read and accepted: what follows takes seconds and reads nothing more."""


class Ended(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, with what it holds."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def check_sentence(said: str) -> None:
    """Raise where a refusal is no single printable sentence."""
    assert said.endswith((".", "?")), said
    assert len(said) > 10, said
    unprintable = [character for character in said if unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp")]
    assert not unprintable, repr(said)


def read_or_refused(read: Callable[[], object], folder: Path) -> str | None:
    """What a function said of its input, None where it took it; any other error than :class:`InputError` passes through."""
    before = contents(folder)
    try:
        read()
    except ReachedError:
        return None
    except InputError as error:
        check_sentence(str(error))
        assert contents(folder) == before
        return str(error)
    assert contents(folder) == before
    return None


def command(*arguments: object) -> Ended:
    """Run a command in this process; a traceback passes through."""
    out, err, code = io.StringIO(), io.StringIO(), 0
    with (
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        patch.object(sys, "argv", ["bayesmoe", *map(str, arguments)]),
    ):
        try:
            main()
        except SystemExit as ended:
            code = int(ended.code or 0)
        except ReachedError:
            pass
    return Ended(code, out.getvalue(), err.getvalue())


def run_or_refused(*arguments: object, folder: Path, made: tuple[Path, ...] = ()) -> Ended:
    """Run a command: code 0 or 1 and all of ``made`` or none of it, or code 2, one sentence and nothing written at all."""
    before = contents(folder)
    ended = command(*arguments)
    after = contents(folder)
    if ended.code == 2:
        assert ended.out == "", ended
        assert ended.err.startswith("bayesmoe: "), ended
        assert ended.err.count("\n") == 1, ended
        check_sentence(ended.err.removesuffix("\n"))
        assert after == before, ended
    else:
        assert ended.code in (0, 1), ended
        assert after.keys() - before.keys() <= {str(path.relative_to(folder)) for path in made}, ended
        assert {name: after[name] for name in before} == before, ended
        assert all(after.values()), ended
    return ended
