"""Serves the page to this machine alone."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import panel as pn
import xarray as xr
from bokeh.server.auth_provider import AuthModule

from bayesmoe.criticism.gate import Gate
from bayesmoe.errors import InputError
from bayesmoe.explore.auth import ADDRESS, NAMES
from bayesmoe.explore.page import page
from bayesmoe.explore.preview import Previewer
from bayesmoe.planning.scenario import Scenario

_PAPER = "@media (prefers-color-scheme: dark) { html, body { background: #16181b; color-scheme: dark; } }"
_AUTH = Path(__file__).with_name("auth.py")


def _free(port: int) -> int:
    with socket.socket() as tried:
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            tried.bind((ADDRESS, port))
        except OSError as error:
            raise InputError(
                "is taken", column="--port", value=port, hint="name another, or 0 for any that is free"
            ) from error
        return tried.getsockname()[1]


def serve(
    fit: xr.DataTree,
    scenario: Scenario,
    gate: Gate,
    *,
    port: int,
    show: bool,
    preparing: Callable[[], Any],
    ready: Callable[[str], Any],
) -> None:
    """Serve the page, on this machine only, until interrupted.

    Parameters
    ----------
    fit : DataTree
        The fit.
    scenario : Scenario
        Where the sliders start.
    gate : Gate
        Checks of the fit.
    port : int
        Where to listen; 0 for any that is free.
    show : bool
        Whether to open a browser.
    preparing : callable
        Called when the first answer is computed, which takes a while.
    ready : callable
        Called with the address of the page once it answers.

    Raises
    ------
    InputError
        The port is taken, or the scenario cannot be planned on the fit.
    """
    port, asker = _free(port), Previewer(fit, gate)
    # Compiled before the first visitor comes.
    preparing()
    pn.config.raw_css = [_PAPER]
    asker.ask(scenario.goal or scenario.problems[0], scenario)
    server: Any = pn.serve(
        {"/": lambda: page(asker, scenario)},
        address=ADDRESS,
        port=port,
        websocket_origin=[f"{name}:{port}" for name in NAMES],
        title="bayesmoe explore",
        show=show,
        start=False,
        verbose=False,
        auth_provider=AuthModule(_AUTH),
    )
    server.start()
    ready(f"http://{ADDRESS}:{port}/")
    try:
        server.io_loop.start()
    finally:
        server.stop()
