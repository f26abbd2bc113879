"""Independent blocks of work on a dask cluster: progress, resumption, and nothing lost with a worker."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from itertools import batched
from pathlib import Path
from typing import Any

import pandas as pd

from bayesmoe.errors import InputError


def finished_blocks(
    work: Callable[..., dict[str, Any]],
    blocks: Sequence[list[int]],
    common: tuple[Any, ...],
    *,
    kept: Path,
    scheduler: str | None = None,
    workers: int | None = None,
    restart_after: int | None = None,
    on_progress: Callable[[str], None] = lambda line: None,
) -> list[dict[str, Any]]:
    """``work(block, *common)`` of every block, in the order of the blocks.

    A finished block is written to ``kept`` at once; a later call with the same work and the same ``common`` reads it back instead of
    computing it, and may ask for more blocks. What a killed worker had in hand goes to another one.

    Parameters
    ----------
    work : callable
        A module's own function, which workers can import; returns plain data.
    blocks : sequence of list of int
        Argument of each task.
    common : tuple
        Arguments of all tasks; picklable.
    kept : path
        Lines of JSON.
    scheduler : str, optional
        Address of a dask scheduler, whose workers have this package; a cluster on this machine otherwise.
    workers : int, optional
        Workers of that cluster.
    restart_after : int, optional
        Blocks after which all workers start anew: compiled programs hold memory until their process ends.
    on_progress : callable
        Called with a line whenever a block is done.

    Raises
    ------
    InputError
        dask.distributed is not installed, the scheduler does not answer, or ``kept`` belongs to other work.
    """
    described = _described((work.__module__, work.__qualname__, common))
    stamp = hashlib.sha256(described.encode("utf-8", "surrogatepass")).hexdigest()
    done = _read(kept, stamp)
    todo = [block for block in map(tuple, blocks) if block not in done]
    if len(todo) < len(blocks):
        on_progress(f"{len(blocks) - len(todo)} of {len(blocks)} blocks were done before")
    if todo:
        with _client(scheduler, workers) as client, kept.open("a", encoding="utf-8") as lines:
            # The last line of a run that was stopped while writing must not swallow the next.
            if (text := kept.read_text(encoding="utf-8")) and not text.endswith("\n"):
                print(file=lines, flush=True)
            for part in batched(todo, restart_after or len(todo), strict=False):
                if part[0] != todo[0]:
                    client.restart()
                for block, result in _computed(client, work, part, common):
                    done[block] = result
                    print(json.dumps({"stamp": stamp, "block": list(block), "result": result}), file=lines, flush=True)
                    on_progress(f"{sum(tuple(each) in done for each in blocks)} of {len(blocks)} blocks done")
    return [done[tuple(block)] for block in blocks]


def _computed(
    client: Any, work: Callable[..., dict[str, Any]], blocks: Sequence[tuple[int, ...]], common: tuple[Any, ...]
) -> Iterator[tuple[tuple[int, ...], dict[str, Any]]]:
    """Blocks with their results, as they come."""
    from distributed import as_completed

    # Not scattered: data whose only copy was with a worker that died could not be had again.
    waiting = {client.submit(_one, work, list(block), common, pure=False): block for block in blocks}
    for future in as_completed(list(waiting)):
        yield waiting[future], future.result()


def _described(value: Any) -> str:
    """All that a value says, as text that is the same in every process."""
    if isinstance(value, pd.DataFrame):
        return f"{list(value.columns)} {value.to_csv()}"
    if dataclasses.is_dataclass(value):
        return f"{type(value).__qualname__}({', '.join(_described(getattr(value, field.name)) for field in dataclasses.fields(value))})"
    return f"({', '.join(map(_described, value))})" if isinstance(value, tuple | list) else repr(value)


def _one(work: Callable[..., dict[str, Any]], block: list[int], common: tuple[Any, ...]) -> dict[str, Any]:
    return work(block, *common)


def _client(scheduler: str | None, workers: int | None) -> Any:
    try:
        from distributed import Client, LocalCluster
    except ImportError as error:
        raise InputError(
            "needs dask.distributed", column="--scheduler", hint="install it: pip install 'bayesmoe[cluster]'"
        ) from error
    if scheduler is None:
        # One thread a worker: a worker's compiled chains take a core each.
        return LocalCluster(n_workers=workers, threads_per_worker=1, dashboard_address=":0").get_client()
    try:
        return Client(scheduler, timeout=10)
    except (OSError, ValueError, TimeoutError) as error:
        raise InputError(
            "does not answer", column="--scheduler", value=scheduler, hint="start one: dask scheduler"
        ) from error


def _read(kept: Path, stamp: str) -> dict[tuple[int, ...], dict[str, Any]]:
    done: dict[tuple[int, ...], dict[str, Any]] = {}
    for line in kept.read_text(encoding="utf-8").splitlines() if kept.exists() else ():
        try:
            line_read = json.loads(line)
        except json.JSONDecodeError:
            # The last line of a run that was stopped while writing.
            continue
        if line_read["stamp"] != stamp:
            raise InputError("holds the finished part of other work", file=kept, hint="remove it, or name another --out")
        done[tuple(line_read["block"])] = line_read["result"]
    return done
