"""``bayesmoe explore`` refuses in one sentence what it cannot serve, before any browser opens; tests/browser has the page itself."""

from __future__ import annotations

import socket

import pytest

from bayesmoe.inference.store import save_fit


@pytest.fixture(scope="module")
def fit_file(small_fit, tmp_path_factory):
    path = tmp_path_factory.mktemp("fit") / "fit.nc"
    save_fit(small_fit, path)
    return path


def said(ended):
    assert (ended.code, ended.out) == (2, "")
    return ended.err.removeprefix("bayesmoe: ").removesuffix("\n")


def test_a_port_that_is_taken(bayesmoe, fit_file):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        ended = bayesmoe("explore", fit_file, "--no-browser", "--port", port)
    assert said(ended) == f"--port: is taken, found {port}; name another, or 0 for any that is free."


def test_a_group_that_is_not_there(bayesmoe, fit_file):
    ended = bayesmoe("explore", fit_file, "--no-browser", "--port", 0, "--group", "S-Base")
    assert "the fit has no groups" in said(ended)


def test_panel_that_is_not_installed(bayesmoe, fit_file, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    ended = bayesmoe("explore", fit_file, "--no-browser")
    assert said(ended) == "the page needs Panel, which is not installed; pip install 'bayesmoe[explore]'."


def test_no_other_address_can_be_asked_for(bayesmoe, fit_file):
    ended = bayesmoe("explore", fit_file, "--address", "0.0.0.0")
    assert ended.code == 2
    assert "--address" in ended.err
