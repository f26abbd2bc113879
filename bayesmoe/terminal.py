"""Text and tables as wide as the terminal."""

from __future__ import annotations

import io
import os
import shutil
import sys
import textwrap
from collections.abc import Sequence

from bayesmoe.errors import printable

_WIDE, _LINE = 10_000, 124


def terminal_width(else_: int = _WIDE) -> int:
    """Columns of the terminal that somebody looks at, or of ``COLUMNS``; what is given where output goes elsewhere."""
    watched = sys.stdout is not None and sys.stdout.isatty()
    given = os.environ.get("COLUMNS", "")
    return shutil.get_terminal_size().columns if watched or (given.isdigit() and int(given) > 0) else else_


def line_width() -> int:
    """Columns of a line of prose: those of the terminal, at most 124."""
    return min(_LINE, terminal_width(_LINE))


def fitted(text: str) -> str:
    """Prose whose long lines go on below, indented; a command stays in one line, to be copied."""
    width = terminal_width()
    return "\n".join(
        line if len(line) <= width or _is_command(line) else _continued(line, width) for line in text.split("\n")
    )


def _is_command(line: str) -> bool:
    return line.strip().startswith("bayesmoe ")


def _continued(line: str, width: int) -> str:
    indent = " " * (len(line) - len(line.lstrip()))
    return textwrap.fill(
        line.strip(),
        width,
        initial_indent=indent,
        subsequent_indent=f"{indent}  ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def table(heads: Sequence[str], rows: Sequence[Sequence[str]], *, text: int = 1, indent: int = 0, most: int = _WIDE) -> str:
    """Rows under their heads; cells that are too long for the terminal go on in the next line of their column.

    Parameters
    ----------
    heads : sequence of str
        Names of the columns; none is printed where all are empty.
    rows : sequence of sequence of str
        Cells.
    text : int
        How many of the first columns are words; the others are numbers and stand at the right of theirs.
    indent : int
        Spaces before each line.
    most : int
        Columns at most, where the terminal has more.
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    drawn = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=any(heads), header_style="", show_edge=False)
    for place, head in enumerate(heads):
        drawn.add_column(Text(head), justify="left" if place < text else "right", overflow="fold")
    for row in rows:
        drawn.add_row(*(Text(printable(cell)) for cell in row))
    written = io.StringIO()
    Console(
        file=written, width=min(most, terminal_width()) - indent, color_system=None, highlight=False, legacy_windows=False
    ).print(drawn)
    return "\n".join(f"{' ' * indent}{line}".rstrip() for line in written.getvalue().rstrip("\n").split("\n"))
