"""What mkdocs asks of this project: pages made from the code at build time, so that they cannot fall behind it."""

from __future__ import annotations

from typing import Any

import pages
import pages_of_laws
from mkdocs.structure.files import File

LAWS = "Laws"


def on_config(config: Any) -> Any:
    """Give every law its place under the navigation's laws."""
    for entry in config.nav:
        if LAWS in entry:
            entry[LAWS] = [*entry[LAWS], *({title: uri} for title, uri in pages_of_laws.law_nav())]
    return config


def on_files(files: Any, config: Any) -> Any:
    """Add the pages, and the files that they link to."""
    for uri, text in pages.all_pages().items():
        files.append(File.generated(config, uri, content=text))
    for uri, path in pages.attached().items():
        files.append(File.generated(config, uri, abs_src_path=str(path)))
    return files
