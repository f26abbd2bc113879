"""Tables for a terminal, as wide as it is."""

from __future__ import annotations

import io
import os
import shutil
import sys
from collections.abc import Sequence

from bayesmoe.errors import printable

_WIDE = 10_000


def terminal_width(else_: int = _WIDE) -> int:
    """Columns of the terminal that somebody looks at, or of ``COLUMNS``; what is given where output goes elsewhere."""
    watched = sys.stdout is not None and sys.stdout.isatty()
    given = os.environ.get("COLUMNS", "")
    return shutil.get_terminal_size().columns if watched or (given.isdigit() and int(given) > 0) else else_


def table(heads: Sequence[str], rows: Sequence[Sequence[str]], *, text: int = 1, indent: int = 0) -> str:
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
    Console(file=written, width=terminal_width() - indent, color_system=None, highlight=False, legacy_windows=False).print(
        drawn
    )
    return "\n".join(f"{' ' * indent}{line}".rstrip() for line in written.getvalue().rstrip("\n").split("\n"))
