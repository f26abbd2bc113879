"""``bayesmoe runs fetch``: runs of a tracker's server as a table that is checked; by a made-up client, and by the true one beside a made-up server."""

from __future__ import annotations

import importlib.util
import json
import sys
import threading
import types
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pandas as pd
import pytest

KEY = "0123456789abcdef0123456789abcdef01234567"
LOSS = [3.61, 3.42, 3.33, 3.21, 3.05, 2.97]


class Run:
    """A run of the client's API: results wrapped, settings as they were set."""

    def __init__(self, place: int, summary=None, state: str = "finished", **config):
        self.id, self.name, self.state, self.tags = f"id{place}", f"run-{place}", state, ["sweep", "moe"]
        self.created_at = "2025-05-01T00:00:00"
        shape = {"num_experts": 1 + 7 * (place % 2), "top_k": 1 + place % 2, "n_dense": 2e7 * (1 + place // 2)}
        self.config = {**shape, "_wandb": {"t": 1}, **config}
        self.results = {"val/loss": LOSS[place], "tokens_seen": 1e9, "_step": 20} if summary is None else summary

    @property
    def summary(self):
        if isinstance(self.results, Exception):
            raise self.results
        return types.SimpleNamespace(_json_dict=self.results)


class Runs(list):
    """A list of runs, or what the server refuses it with."""

    def __iter__(self):
        for run in super().__iter__():
            if isinstance(run, Exception):
                raise run
            yield run


@pytest.fixture
def client(monkeypatch):
    """Put a made-up client in place of the true one, which gives these runs or raises."""

    def give(runs=None, error: Exception | None = None, lazy=None):
        class Api:
            def runs(self, path, per_page=50, lazy=True):
                if error is not None:
                    raise error
                asked.append((path, lazy))
                return Runs(given if lazy else runs)

        asked, given = [], runs if lazy is None else lazy
        module = types.ModuleType("wandb")
        module.__spec__ = importlib.util.spec_from_loader("wandb", None)
        module.Api = Api
        monkeypatch.setitem(sys.modules, "wandb", module)
        return asked

    return give


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    # The command sets it for the whole process.
    monkeypatch.setenv("WANDB_SILENT", "true")


def test_a_project_is_written_and_checked(bayesmoe, client):
    asked = client([Run(place) for place in range(6)])
    ended = bayesmoe("runs", "fetch", "wandb:team/sweep", "--out", "all.csv", "--clean", "runs.csv", "--spec", "mine.toml")
    assert ended.code == 0, ended.err
    assert asked == [("team/sweep", False)]
    assert "6 runs of wandb:team/sweep in all.csv" in ended.err
    assert "all.csv: 6 runs (Weights & Biases)" in ended.out
    assert "6 runs in runs.csv" in ended.out
    found = pd.read_csv("runs.csv")
    assert found["loss"].tolist() == LOSS
    assert found["run_id"].tolist() == [f"id{place}" for place in range(6)]
    assert found["tokens"].tolist() == [1e9] * 6
    table = pd.read_csv("all.csv")
    assert list(table) == ["run_id", "name", "state", "tags", "created_at", "config", "summary"]
    assert table["tags"].tolist() == ["sweep, moe"] * 6


def test_what_crashed_is_told_and_the_document_stays_whole(bayesmoe, client):
    client([Run(place, state="crashed" if place == 2 else "finished") for place in range(6)])
    ended = bayesmoe("runs", "fetch", "wandb:team/sweep", "--json")
    assert ended.code == 1
    assert json.loads(ended.out)["left_out"] == [{"row": 4, "run_id": "id2"}]
    again = bayesmoe("runs", "fetch", "wandb:team/sweep")
    assert (again.code, "runs.csv: is there already" in again.err) == (2, True)


def test_keys_go_into_no_file_and_no_message(bayesmoe, client, tmp_path):
    client([Run(place, api_key=KEY, hub={"hf_token": KEY, "name": "x"}, tokenizer="gpt2") for place in range(6)])
    ended = bayesmoe("runs", "fetch", "wandb:team/sweep")
    assert ended.code == 0
    assert "left out settings that hold keys by their names: api_key, hf_token" in ended.err
    client(error=RuntimeError(f"odd answer to {KEY}"))
    refused = bayesmoe("runs", "fetch", "wandb:team/sweep", "--out", "other.csv")
    assert refused.code == 2
    texts = [path.read_text() for path in tmp_path.iterdir()]
    assert len(texts) == 1
    assert all(KEY not in text for text in (*texts, ended.out, ended.err, refused.out, refused.err))
    assert "gpt2" in texts[0]


def test_a_run_whose_results_cannot_be_read_is_one_finding(bayesmoe, client):
    odd = [Run(place, summary=ValueError("Expecting value") if place == 3 else None) for place in range(6)]
    client([*odd[:3], RuntimeError("Expecting property name"), *odd[3:]], lazy=odd)
    ended = bayesmoe("runs", "fetch", "wandb:team/sweep", "--clean", "clean.csv")
    assert ended.code == 0
    assert "the summary of run run-3 cannot be read" in ended.err
    assert "unreadable in row 5 (id3): summary: cannot be read" in " ".join(ended.out.split())
    assert len(pd.read_csv("clean.csv")) == 5


class CommError(Exception):
    """As the client's own."""


class AuthenticationError(CommError):
    """As the client's own."""


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (
            AuthenticationError("Failed to verify credentials with http://127.0.0.1:40355: permission denied"),
            "`wandb login`",
        ),
        (CommError("HTTP 401: user is not logged in"), "`wandb login`"),
        (CommError("No API key configured. Use `wandb login` to log in."), "`wandb login`"),
        (CommError("HTTP 403: permission denied"), "ask its owner for access"),
        (ValueError("Could not find project network"), "is no project that this key can see"),
        (CommError("HTTP 404 (Not Found)"), "is no project that this key can see"),
        (ConnectionError("dial tcp: lookup api: no such host"), "check the network"),
        (AuthenticationError("Failed to verify credentials: the service process did not respond in time."), "the network"),
        (KeyError("edges"), "could not be read (KeyError: 'edges')"),
    ],
)
def test_what_the_server_refuses_is_one_sentence(refused, client, error, says):
    client(error=error)
    said = refused("runs", "fetch", "wandb:team/network", out="out.csv")
    assert said.startswith("wandb:team/network: ")
    assert says in said


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("team/sweep", "write wandb:team/sweep"),
        ("wandb:sweep", "as in the project's address"),
        ("wandb:team/sweep/runs", "must be wandb:ENTITY/PROJECT"),
        ("wandb:", "must be wandb:ENTITY/PROJECT"),
        ("mlflow:team/sweep", "is of a tracker that is not known (mlflow)"),
        ("https://wandb.ai/team/sweep/workspace?user=me", "write wandb:team/sweep"),
    ],
)
def test_a_source_that_is_none_is_refused_before_anything_is_asked(refused, client, source, says):
    asked = client([Run(0)])
    assert says in refused("runs", "fetch", source, out="out.csv")
    assert asked == []


def test_an_empty_project_and_outputs_that_cannot_be(refused, client):
    client([])
    assert "has no runs" in refused("runs", "fetch", "wandb:team/sweep", out="out.csv")
    client([Run(0)])
    assert "must end in .csv" in refused("runs", "fetch", "wandb:team/sweep", out="out.parquet")
    assert "must be ours=yours" in refused("runs", "fetch", "wandb:team/sweep", "--map", "loss", out="out.csv")


def test_without_the_client_the_cure_is_named(refused, monkeypatch):
    find_spec = importlib.util.find_spec
    monkeypatch.setattr("bayesmoe.runs.remote.find_spec", lambda name: None if name == "wandb" else find_spec(name))
    assert refused("runs", "fetch", "wandb:team/sweep", out="out.csv").endswith("pip install 'bayesmoe[wandb]'.")


@pytest.fixture
def server(monkeypatch, tmp_path_factory):
    """A made-up server of the API that the true client asks, which answers what it is told; skipped where the client is not installed."""
    pytest.importorskip("wandb")
    told = {"status": 200, "runs": [], "seen": []}

    class Server(BaseHTTPRequestHandler):
        def log_message(self, *_):
            pass

        def do_POST(self):
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            told["seen"].append(asked["query"])
            answer = json.dumps(answered(told, asked["query"], asked.get("variables") or {})).encode()
            self.send_response(200 if "Viewer" in asked["query"] else told["status"])
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

    served = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    threading.Thread(target=served.serve_forever, daemon=True).start()
    folder = str(tmp_path_factory.mktemp("wandb"))
    for name in ("WANDB_DIR", "WANDB_CACHE_DIR", "WANDB_CONFIG_DIR", "WANDB_DATA_DIR", "HOME"):
        monkeypatch.setenv(name, folder)
    monkeypatch.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{served.server_port}")
    monkeypatch.setenv("WANDB_ERROR_REPORTING", "false")
    yield told
    served.shutdown()
    served.server_close()


def node(run: Run, *, whole: bool) -> dict:
    """A run as the server writes it; a summary that is text is sent as it is."""
    told = {
        "id": run.id, "projectId": "1", "tags": run.tags, "name": run.id, "displayName": run.name, "sweepName": None, "state": run.state, "group": None, "jobType": None,
        "commit": None, "readOnly": True, "createdAt": run.created_at, "heartbeatAt": run.created_at, "description": "", "notes": "", "historyLineCount": 3,
        "user": {"name": "me", "username": "me"},
    }  # fmt: skip
    if not whole:
        return told
    config = json.dumps({name: {"value": value} for name, value in run.config.items()})
    summary = run.results if isinstance(run.results, str) else json.dumps(run.results)
    return told | {"config": config, "systemMetrics": "{}", "summaryMetrics": summary, "historyKeys": None}


def answered(told: dict, query: str, variables: dict) -> dict:
    """What the server says to a query."""
    if "viewer" in query:
        viewer = {"id": "1", "username": "me", "entity": "me", "email": "me@x", "teams": {"edges": []}, "flags": "{}"}
        return {"data": {"viewer": viewer}}
    if told["status"] != 200:
        return {"errors": [{"message": "permission denied"}]}
    if told["runs"] is None:
        return {"data": {"project": None}}
    whole, runs, page = "summaryMetrics" in query, told["runs"], 2
    start = int(variables.get("cursor") or 0)
    edges = [
        {"node": node(run, whole=whole), "cursor": str(start + place + 1)}
        for place, run in enumerate(runs[start : start + page])
    ]
    one = next((node(run, whole=whole) for run in runs if run.id == variables.get("name")), None)
    more = {"endCursor": str(start + len(edges)), "hasNextPage": start + page < len(runs)}
    listed = {"edges": edges, "pageInfo": more}
    project = {"internalId": "1", "runCount": len(runs), "readOnly": True, "runs": listed, "run": one}
    return {"data": {"project": project}}


def test_the_true_client_reads_pages_of_runs(bayesmoe, server):
    server["runs"] = [Run(place) for place in range(6)]
    ended = bayesmoe("runs", "fetch", "wandb:team/sweep", "--clean", "clean.csv")
    assert ended.code == 0, ended.err
    assert pd.read_csv("clean.csv")["loss"].tolist() == LOSS
    assert KEY not in ended.out + ended.err


def test_the_true_client_meets_results_that_are_no_json(bayesmoe, server):
    server["runs"] = [Run(place, summary="{bad" if place == 3 else None) for place in range(6)]
    ended = bayesmoe("runs", "fetch", "wandb:team/sweep", "--clean", "clean.csv")
    assert ended.code == 0, ended.err
    assert "the summary of run run-3 cannot be read" in ended.err
    assert len(pd.read_csv("clean.csv")) == 5


def test_the_true_client_is_refused(refused, server):
    server["runs"] = []
    assert "has no runs" in refused("runs", "fetch", "wandb:team/sweep", out="out.csv")
    server["runs"] = None
    assert "is no project that this key can see" in refused("runs", "fetch", "wandb:team/sweep", out="out.csv")
    server["status"] = 403
    assert "ask its owner for access" in refused("runs", "fetch", "wandb:team/sweep", out="out.csv")
