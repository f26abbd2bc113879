"""Who may see the page: this machine alone. Bokeh reads this module for its hooks ``get_user`` and ``login_url``."""

from __future__ import annotations

from typing import Any

from tornado.web import HTTPError

ADDRESS = "127.0.0.1"
NAMES = (ADDRESS, "localhost")
login_url = "/"


def get_user(handler: Any) -> str:
    """Whoever asks by one of this machine's names; HTTP error 403 otherwise, as a site elsewhere may point its own name here."""
    if handler.request.host.rpartition(":")[0] not in NAMES:
        raise HTTPError(403)
    return "you"
