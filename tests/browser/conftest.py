"""A headless browser that cannot reach anything but this machine, and that remembers what went wrong."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import pytest

ARTEFACTS = Path(__file__).parents[2] / "test-artifacts"
"""Where screenshots stay."""

LOCAL_SCHEMES = {"file", "data", "blob", "about"}
LOCAL_HOSTS = {"127.0.0.1"}


def is_local(address):
    """Whether a request stays on this machine."""
    parts = urlsplit(address)
    return parts.scheme in LOCAL_SCHEMES or parts.hostname in LOCAL_HOSTS


@dataclass
class Seen:
    """What a browser said while it showed pages."""

    errors: list[str] = field(default_factory=list)
    strangers: list[str] = field(default_factory=list)


@pytest.fixture(scope="session")
def chromium():
    """Debian's Chromium, driven without a screen; tests skip where it is absent, and fail where CI promised it."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        if os.environ.get("BAYESMOE_NEEDS_BROWSER"):
            pytest.fail("no Chromium, and BAYESMOE_NEEDS_BROWSER is set")
        pytest.skip("no Chromium here (make test installs it where it may)")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=found, args=["--no-sandbox", "--disable-quic"])
        yield browser
        browser.close()


@pytest.fixture
def open_page(chromium):
    """Open pages; what they say and whom they ask is in ``seen``."""
    contexts = []

    def opened(*, width=1200, height=1000, scheme="light", media=None):
        context = chromium.new_context(
            viewport={"width": width, "height": height}, color_scheme=scheme, accept_downloads=True
        )
        contexts.append(context)
        page, seen = context.new_page(), Seen()
        page.on("console", lambda said: seen.errors.append(said.text) if said.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: seen.errors.append(str(error)))
        page.on("request", lambda asked: None if is_local(asked.url) else seen.strangers.append(asked.url))
        if media is not None:
            page.emulate_media(media=media, color_scheme=scheme)
        return page, seen

    yield opened
    for context in contexts:
        context.close()


@pytest.fixture
def keep():
    """Keep a screenshot of a whole page under a name."""
    ARTEFACTS.mkdir(exist_ok=True)

    def kept(page, name):
        page.screenshot(path=ARTEFACTS / f"{name}.png", full_page=True)

    return kept
