"""Help of every command: an example that it would take, short flags, the version."""

from __future__ import annotations

import shlex

import pytest
import typer

import bayesmoe as package
from bayesmoe.cli import app


def commands():
    """Every command by its name, groups resolved."""

    def walk(name, command):
        inside = getattr(command, "commands", None)
        if inside is None:
            return {name: command}
        return {deeper: each for below, one in inside.items() for deeper, each in walk(f"{name} {below}", one).items()}

    return walk("bayesmoe", typer.main.get_command(app))


@pytest.mark.parametrize("name", commands())
def test_every_command_has_an_example_that_it_would_take(name):
    command = commands()[name]
    example = command.epilog.removeprefix("Example: ")
    assert example.startswith(name)
    words = shlex.split(example.removeprefix(name))
    context = command.make_context(name, words, resilient_parsing=True)
    flags = {flag for one in command.params for flag in one.opts}
    assert {word for word in words if word.startswith("--")} <= flags
    for one in command.params:
        assert not one.required or context.params[one.name], f"{one.name} is missing"


def test_a_short_h_is_help_everywhere(bayesmoe):
    for arguments in ([], ["plan"], ["datasets"], ["datasets", "fetch"]):
        ended = bayesmoe(*arguments, "-h")
        assert ended.code == 0
        assert "Usage: bayesmoe" in ended.out


def test_the_version(bayesmoe):
    assert bayesmoe("--version") == (0, f"bayesmoe {package.__version__}\n", "")


def test_without_a_command_help_is_printed_once(bayesmoe):
    ended = bayesmoe()
    assert (ended.code, ended.out.count("Usage:")) == (2, 1)
