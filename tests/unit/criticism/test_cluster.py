"""Blocks on a cluster: order, resumption, a worker that dies, and ranks that do not depend on who computed them."""

from __future__ import annotations

import json
import os

import numpy as np
import pytest

from bayesmoe.criticism.cluster import finished_blocks
from bayesmoe.errors import InputError


def squares(block: list[int], folder: str) -> dict[str, list[int]]:
    """Squares, with a mark for each call; the first worker that meets 5 dies with it."""
    mark = os.path.join(folder, f"called-{block[0]}-{os.getpid()}")
    open(mark, "w").close()
    if 5 in block and not os.path.exists(os.path.join(folder, "died")):
        open(os.path.join(folder, "died"), "w").close()
        os._exit(1)
    return {"squares": [number**2 for number in block]}


def never(block: list[int], folder: str) -> dict[str, list[int]]:
    """Work that must not be called."""
    raise AssertionError(block)


BLOCKS = [[0, 1, 2], [3, 4, 5], [6, 7, 8], [9]]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """All blocks, by two workers of whom one dies."""
    folder = tmp_path_factory.mktemp("cluster")
    kept = folder / "kept.jsonl"
    return finished_blocks(squares, BLOCKS, (str(folder),), kept=kept, workers=2), folder, kept


def test_a_dead_worker_loses_nothing(finished) -> None:
    found, folder, _ = finished
    assert [value for block in found for value in block["squares"]] == [number**2 for number in range(10)]
    assert (folder / "died").exists()


@pytest.mark.slow
def test_a_second_call_computes_only_what_is_missing(finished, tmp_path) -> None:
    found, folder, kept = finished
    lines = kept.read_text().splitlines()
    assert len(lines) == len(BLOCKS)
    calls = set(os.listdir(folder))
    half = tmp_path / "half.jsonl"
    # The last line was cut short when the process was stopped.
    half.write_text("\n".join([*lines[:3], lines[3][:20]]))
    again = finished_blocks(squares, BLOCKS, (str(folder),), kept=half, workers=1)
    assert again == found
    missing = json.loads(lines[3])["block"][0]
    assert {name.split("-")[1] for name in set(os.listdir(folder)) - calls} == {str(missing)}
    assert finished_blocks(squares, BLOCKS, (str(folder),), kept=half) == found
    more = finished_blocks(squares, [*BLOCKS, [10], [11]], (str(folder),), kept=half, workers=1, restart_after=1)
    assert more == [*found, {"squares": [100]}, {"squares": [121]}]
    # Each by a worker of its own.
    assert len({name.split("-")[2] for name in os.listdir(folder) if name.startswith(("called-10", "called-11"))}) == 2


def test_the_finished_part_of_other_work_is_refused(finished) -> None:
    _, folder, kept = finished
    with pytest.raises(InputError, match="other work"):
        finished_blocks(never, BLOCKS, (str(folder),), kept=kept)


def test_a_scheduler_that_does_not_answer_is_named(tmp_path, monkeypatch) -> None:
    import distributed

    def refused(address, timeout):
        raise OSError(f"Timed out trying to connect to {address}")

    monkeypatch.setattr(distributed, "Client", refused)
    with pytest.raises(InputError, match="does not answer"):
        finished_blocks(never, BLOCKS, (), kept=tmp_path / "kept.jsonl", scheduler="tcp://127.0.0.1:1")


@pytest.mark.slow
def test_ranks_depend_on_the_seed_and_the_number_alone() -> None:
    import dataclasses

    from designs import catalog_design

    from bayesmoe.criticism.sbc import simulation_ranks
    from bayesmoe.laws import law_named

    law = law_named("kaplan", size="n_dense")
    assert dataclasses.is_dataclass(law)
    few, many = (simulation_ranks(law, catalog_design(), simulations=count, seed=3) for count in (2, 4))
    for name in few.data_vars:
        np.testing.assert_array_equal(few[name], many[name].isel(simulation=[0, 1]))
    other = simulation_ranks(law, catalog_design(), simulations=2, seed=4)
    assert not np.array_equal(few["slope_size"], other["slope_size"])
