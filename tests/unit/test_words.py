"""Words that engineers had to translate back stand nowhere in the code, the docs or the page."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
PLACES = {
    "bayesmoe": ("*.py", "*.jinja"),
    "docs": ("*.md", "*.py"),
    "examples": ("*.py", "*.md", "*.ipynb"),
    "models": ("*.toml",),
    "benchmarks": ("*.py",),
    ".": ("README.md", "CONTRIBUTING.md"),
}
RETIRED = {
    r"[Mm]isfits?": "discrepancy",
    r"[Tt]o sign|nothing to sign|you sign|anyone signs": "recommended design",
    r"[Nn]ot knowing": "expected opportunity loss",
    r"[Aa]sked-for": "required",
    r"[Dd]earer|[Dd]earest": "costs more, most expensive",
    r"[Vv]alleys?": "local minimum",
    r"[Tt]old": "reported, relative to",
    r"the bar|[Bb]ars of (?:loss|cost)|meets? (?:its|the) bar": "threshold",
    r"(?:the|its|by|with|of|within|in) reach|[Rr]each of": "extrapolation distance",
    r"[Ll]andscapes?": "design surface",
    r"[Ss]urely enough|[Ss]ure enough|[Ss]urest": "with the required probability, most probable",
    r"[Ff]oretold|[Ff]oretells?": "predicted",
    r"[Tt]hrifty": "cheap",
    r"[Cc]ures?": "hint",
    r"house law|law house": "effective-size",
    r"hangs? on": "depends on",
    r"[Uu]nderstood columns|not_understood": "recognized columns",
    r"(?:that|which|two) miss together|move together": "correlated",
    r"colours?|behaviour|licence|utilisation|neighbours?|optimis(?:e|ation)|summaris(?:e|es)": "American spelling",
}


def retired(text: str) -> list[str]:
    """Retired words of a text, with the line and what to say."""
    return [
        f"{text.count(chr(10), 0, match.start()) + 1}: {match[0]!r}, say {better}"
        for word, better in RETIRED.items()
        for match in re.finditer(rf"\b(?:{word})\b", text)
    ]


FILES = sorted(
    path
    for folder, patterns in PLACES.items()
    for pattern in patterns
    for path in ((REPOSITORY / folder).glob(pattern) if folder == "." else (REPOSITORY / folder).rglob(pattern))
)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_no_retired_word_stands(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    # The glossary names what it replaces.
    if path.name == "CONTRIBUTING.md":
        text = re.sub(r"## Glossary.*?(?=\n## |\Z)", "", text, flags=re.DOTALL)
    assert retired(text) == []


@pytest.mark.parametrize("said", ["no dearer to serve", "Nothing to sign", "the bar is", "its reach grows", "asked-for"])
def test_a_retired_word_is_found(said: str) -> None:
    assert retired(said)
