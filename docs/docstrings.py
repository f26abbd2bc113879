"""Docstrings as Markdown: numpydoc's sections as lists, Sphinx's roles and double backticks as code."""

from __future__ import annotations

import inspect
import re
from typing import Any

FIELDS = {"Parameters", "Attributes", "Returns", "Raises", "Yields"}


def markdown(documented: Any) -> str:
    """The docstring of something, as Markdown."""
    text = inspect.getdoc(documented) or ""
    parts = re.split(r"^(\w[\w ]*)\n-{3,}\n", text, flags=re.MULTILINE)
    said = [prose(parts[0])]
    for title, body in zip(parts[1::2], parts[2::2], strict=True):
        said += [f"**{title}**", fields(body) if title in FIELDS else prose(body)]
    return "\n\n".join(part for part in said if part)


def prose(text: str) -> str:
    """Roles and double backticks as code, an equation alone as a block; wrapped lines and lists as they are."""
    text = re.sub(r"^``([^`]+)``$(?=\n\n|\Z)", r"```text\n\1\n```", text, flags=re.MULTILINE)
    text = re.sub(r":\w+:`~?([^`]*)`", lambda role: f"`{_shown(role.group())}`", text)
    return re.sub(r"(?<!`)``(?!`)(.+?)(?<!`)``(?!`)", r"`\1`", text, flags=re.DOTALL).strip()


def _shown(role: str) -> str:
    path = role.split("`")[1]
    return path.removeprefix("~").rsplit(".", 1)[-1] if path.startswith("~") else path


def fields(body: str) -> str:
    """``name : type`` with what stands indented below it, one item each."""
    items: list[tuple[str, list[str]]] = []
    for line in body.splitlines():
        if line and not line.startswith(" "):
            items.append((line, []))
        elif items:
            items[-1][1].append(line.strip())
    return "\n".join(f"- `{name}`{': ' if said else ''}{prose(' '.join(said).strip())}" for name, said in items)


def table(heads: tuple[str, ...], rows: list[tuple[Any, ...]]) -> str:
    """A Markdown table; a vertical line within a cell, which would end it, is read as "or"."""
    lines = [heads, ("---",) * len(heads), *rows]
    return "\n".join("| " + " | ".join(str(cell).replace("|", " or ") for cell in line) + " |" for line in lines)
