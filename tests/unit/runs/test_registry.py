"""Registered data sets: found in a mirror, in the cache or in the package, and never used when a byte differs."""

from __future__ import annotations

import hashlib
import re
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pandas as pd
import pytest

from bayesmoe.errors import InputError
from bayesmoe.resources import resource_folder
from bayesmoe.runs import fetch, load_source, registered, registered_as, registry
from bayesmoe.runs.sources import ADAPTERS

TOY = b"run_id,loss,num_experts\na,2.5,1\n"
FILES = [(name, file) for name, entry in registered().items() for file in entry.files.values()]


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    """An empty cache, and no mirror."""
    folder = tmp_path / "cache"
    monkeypatch.setattr(registry, "_cache", lambda: folder)
    monkeypatch.delenv(registry.MIRROR_VARIABLE, raising=False)
    return folder


@pytest.fixture
def no_network(monkeypatch):
    """Refuse every connection."""

    def refused(*_):
        raise AssertionError("the network was touched")

    monkeypatch.setattr(socket.socket, "connect", refused)


class Upstream(ThreadingHTTPServer):
    """Serve ``content`` to everyone, 404 without it, and count who asked."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Answer)
        self.content: bytes | None = TOY
        self.asked = 0


class Answer(BaseHTTPRequestHandler):
    """One answer of the upstream."""

    server: Upstream

    def do_GET(self):
        self.server.asked += 1
        self.send_response(404 if self.server.content is None else 200)
        self.end_headers()
        self.wfile.write(self.server.content or b"")

    def log_message(self, *_):
        """Say nothing."""


@pytest.fixture
def upstream(monkeypatch):
    """A registered data set ``toy`` whose upstream is on this machine."""
    server = Upstream()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    file = registry.RawFile(
        name="toy_runs.csv", sha256=hashlib.sha256(TOY).hexdigest(), url=f"http://127.0.0.1:{server.server_port}/runs.csv"
    )
    toy = registry.Registered(
        title="toy", citation="none", license="none", upstream="here", redistributable=True, files={"runs": file}
    )
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(registry, "registered", lambda: {"toy": toy})
    monkeypatch.setitem(ADAPTERS, "toy", lambda raw: pd.read_csv(raw["runs"]))
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def complaint(function, name: str) -> str:
    """What is said about a data set."""
    with pytest.raises(InputError) as caught:
        function(name)
    return str(caught.value)


# What is registered


@pytest.mark.parametrize("name", registered())
def test_every_data_set_says_what_it_is_and_where_it_comes_from(name):
    entry = registered_as(name)
    assert entry.title
    assert re.search(r"\b\d{4}\b|arXiv:\d{4}\.\d{5}", entry.citation)
    assert entry.license
    assert entry.redistributable
    assert name in ADAPTERS
    assert entry.simulated == entry.title.startswith("SIMULATED")


@pytest.mark.parametrize(("name", "file"), FILES, ids=[f"{name}-{file.name}" for name, file in FILES])
def test_every_file_has_a_checksum_and_either_a_pinned_url_or_a_place_in_the_package(name, file):
    assert re.fullmatch(r"[0-9a-f]{64}", file.sha256)
    embedded = resource_folder("datasets") / file.name
    if file.url is None:
        assert hashlib.sha256(embedded.read_bytes()).hexdigest() == file.sha256
    else:
        assert not embedded.exists()
        assert file.url.startswith("https://")
        assert file.bytes > 0
        (commit,) = re.findall(r"[0-9a-f]{40}", registered_as(name).upstream)
        assert f"/{commit}/" in file.url


def test_every_adapter_is_registered():
    assert set(ADAPTERS) == set(registered())


def test_files_of_one_name_are_one_file():
    checksums = {}
    for _, file in FILES:
        assert checksums.setdefault(file.name, file.sha256) == file.sha256


# Loading


@pytest.mark.parametrize(
    ("name", "hint"),
    [("clark", "did you mean 'clark2022'?"), ("zzz", f"known: {', '.join(sorted(registered()))}.")],
)
@pytest.mark.parametrize("function", [registered_as, load_source, fetch])
def test_an_unknown_name(function, name, hint):
    assert complaint(function, name) == f"source: is not a registered data set, found {name!r}; {hint}"


def test_the_embedded_data_set_needs_no_network(no_network):
    source = load_source("simulated-yun-grid")
    assert source.simulated
    assert source.sha256 == registered()["simulated-yun-grid"].files["runs"].sha256
    assert len(source.frame) == 80
    assert fetch("simulated-yun-grid") == [resource_folder("datasets") / "simulated-yun-grid.csv"]


def test_a_data_set_that_was_not_fetched(no_network):
    assert complaint(load_source, "clark2022") == (
        "clark2022_curves.csv.gz: has not been fetched; run `bayesmoe datasets fetch clark2022`, "
        "or set BAYESMOE_DATA_DIR to a folder that holds it."
    )


def test_a_mirror_serves_a_data_set(mirror, no_network):
    source = load_source("clark2022")
    assert source.sha256 == registered()["clark2022"].files["curves"].sha256
    assert not source.simulated
    assert len(source.frame) == 223
    assert fetch("clark2022") == [mirror / "clark2022_curves.csv.gz"]


@pytest.mark.parametrize("function", [load_source, fetch])
def test_a_damaged_file_in_the_mirror_is_refused_and_kept(function, tmp_path, monkeypatch, no_network):
    monkeypatch.setenv(registry.MIRROR_VARIABLE, str(tmp_path))
    path = tmp_path / "clark2022_curves.csv.gz"
    path.write_bytes(b"damaged")
    found = hashlib.sha256(b"damaged").hexdigest()
    assert complaint(function, "clark2022") == (
        f"{path}: must have sha256 {registered()['clark2022'].files['curves'].sha256[:12]}…, found '{found[:12]}…'; "
        "the file is damaged or not the registered version: delete it and run `bayesmoe datasets fetch clark2022`."
    )
    assert path.read_bytes() == b"damaged"


def test_a_mirror_without_the_file_falls_back_on_the_cache(upstream, cache, tmp_path, monkeypatch, no_network):
    monkeypatch.setenv(registry.MIRROR_VARIABLE, str(tmp_path))
    cache.mkdir()
    (cache / "toy_runs.csv").write_bytes(TOY)
    assert load_source("toy").frame["loss"].tolist() == [2.5]


# Fetching


def test_a_good_download_is_kept_and_not_repeated(upstream, cache):
    assert fetch("toy") == [cache / "toy_runs.csv"]
    assert (cache / "toy_runs.csv").read_bytes() == TOY
    assert load_source("toy").frame["loss"].tolist() == [2.5]
    assert fetch("toy") == [cache / "toy_runs.csv"]
    assert upstream.asked == 1


@pytest.mark.parametrize("content", [b"", TOY[:-1], TOY + b"b,2.4,1\n", b"<html>quota exceeded</html>"])
def test_a_wrong_download_is_thrown_away(upstream, cache, content):
    upstream.content = content
    said = complaint(fetch, "toy")
    assert said.startswith(
        f"http://127.0.0.1:{upstream.server_port}/runs.csv: the download does not match the registered sha256"
    )
    assert hashlib.sha256(TOY).hexdigest()[:12] in said
    assert upstream.asked == 1
    assert not cache.exists() or list(cache.iterdir()) == []


def test_a_second_try_succeeds_after_a_wrong_download(upstream, cache):
    upstream.content = b"wrong"
    complaint(fetch, "toy")
    upstream.content = TOY
    assert fetch("toy") == [cache / "toy_runs.csv"]


def test_a_file_that_is_gone_upstream(upstream, cache):
    upstream.content = None
    assert complaint(fetch, "toy") == (
        f"http://127.0.0.1:{upstream.server_port}/runs.csv: could not be downloaded (HTTPError); "
        "check the network, or put the file toy_runs.csv in the folder named by BAYESMOE_DATA_DIR."
    )
    assert not cache.exists() or list(cache.iterdir()) == []


def test_no_network_at_all(upstream, cache, monkeypatch):
    def unreachable(*_):
        raise OSError("Network is unreachable")

    monkeypatch.setattr(socket.socket, "connect", unreachable)
    assert "could not be downloaded (ConnectionError); check the network" in complaint(fetch, "toy")
    assert not cache.exists() or list(cache.iterdir()) == []


def test_a_damaged_file_in_the_cache_is_refused_and_not_overwritten(upstream, cache):
    cache.mkdir()
    (cache / "toy_runs.csv").write_bytes(b"damaged")
    for function in (fetch, load_source):
        assert "delete it and run `bayesmoe datasets fetch toy`" in complaint(function, "toy")
    assert upstream.asked == 0
    assert (cache / "toy_runs.csv").read_bytes() == b"damaged"
