"""The page of all commands, from the command line's own definitions."""

from __future__ import annotations

import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer
from docstrings import prose, table

from bayesmoe.cli import app

KINDS = {str: "text", Path: "path", int: "whole number", float: "number", bool: ""}

BEGINNING = """# Commands

Exit codes: 0 done; 1 the gate failed, or a check found what cannot stand; 2 bad input, in one sentence that says file, row, column, rule,
value and hint as far as they are known; 130 interrupted. Output files are written whole or not at all. Long work shows a bar on a terminal
and plain lines elsewhere, on standard error. Every `--json` is [documented](json.md).
"""


def commands() -> Iterator[tuple[str, Any]]:
    """Name and definition of every command, groups resolved."""

    def walk(name: str, command: Any) -> Iterator[tuple[str, Any]]:
        inside = getattr(command, "commands", None)
        if inside is None:
            yield name, command
            return
        for below, each in inside.items():
            yield from walk(f"{name} {below}", each)

    return walk("bayesmoe", typer.main.get_command(app))


def commands_page() -> str:
    """Usage, help, arguments and options of every command."""
    said = [BEGINNING.rstrip()]
    for name, command in commands():
        hints = typing.get_type_hints(command.callback)
        arguments = [one for one in command.params if one.param_type_name == "argument"]
        options = [one for one in command.params if one.param_type_name == "option" and not one.hidden]
        usage = " ".join([name, *(_argument(one) for one in arguments), *(["[OPTIONS]"] if options else [])])
        said += [
            f"## {name.removeprefix('bayesmoe ')}",
            f"```text\n{usage}\n```",
            prose(command.help or ""),
            f"```text\n{command.epilog}\n```",
        ]
        rows = [(f"`{_argument(one)}`", one.help) for one in arguments if one.help]
        if rows:
            said.append(table(("argument", "meaning"), rows))
        rows = [(_flags(one), _kind(hints.get(one.name)), _meaning(one)) for one in options]
        if rows:
            said.append(table(("option", "takes", "meaning"), rows))
    return "\n\n".join(said) + "\n"


def _argument(argument: Any) -> str:
    name = argument.metavar or argument.name.upper()
    return name if argument.required or name.startswith("[") else f"[{name}]"


def _flags(option: Any) -> str:
    flags = [*option.opts, *option.secondary_opts]
    metavar = f" {option.metavar}" if option.metavar else ""
    return ", ".join(f"`{flag}{metavar}`" for flag in flags)


def _kind(hint: Any) -> str:
    """What an option takes, in words; empty for a flag."""
    inside = [one for one in typing.get_args(hint) if one is not type(None)]
    if typing.get_origin(hint) is list:
        return f"{_kind(inside[0])}, repeatable"
    return _kind(inside[0]) if inside else KINDS.get(hint, "")


def _meaning(option: Any) -> str:
    notes = []
    if option.required:
        notes.append("required")
    ends = [f"{word} {end}" for word, end in (("at least", option.min), ("at most", option.max)) if end is not None]
    notes += ends
    if option.default not in (None, False, True, ()) and not option.required:
        notes.append(f"default {option.default}")
    said = (option.help or "").rstrip(".")
    return f"{said}{'; ' if said and notes else ''}{', '.join(notes)}."
