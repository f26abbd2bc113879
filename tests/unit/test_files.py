"""Output files: whole or not at all, whatever goes wrong and whenever."""

from __future__ import annotations

import errno
import os
import resource
import stat
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from bayesmoe.errors import InputError
from bayesmoe.files import require_file, require_writable, write_netcdf, write_text, written_whole

OLD, NEW = "the old file", "the new file"


@pytest.fixture
def target(tmp_path) -> Path:
    """A file that is already there, alone in its folder."""
    path = tmp_path / "out" / "plan.json"
    path.parent.mkdir()
    path.write_text(OLD)
    return path


def untouched(target: Path) -> bool:
    """Whether the old file is as it was and nothing lies beside it."""
    return target.read_text() == OLD and list(target.parent.iterdir()) == [target]


def full_disk(*_, **__):
    """Stand in for any call that needs disk space."""
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def write_half(target: Path, error: BaseException) -> None:
    """Write half a file and fail."""
    with written_whole(target) as temporary:
        temporary.write_text(NEW[:3])
        raise error


def test_a_file_is_written_into_folders_that_are_not_there_yet(tmp_path):
    write_text(tmp_path / "a" / "b" / "plan.json", NEW)
    assert (tmp_path / "a" / "b" / "plan.json").read_text() == NEW


def test_text_is_written_as_utf_8(tmp_path):
    write_text(tmp_path / "page.html", "10–90 %, ≥ 3")
    assert (tmp_path / "page.html").read_bytes() == "10–90 %, ≥ 3".encode()


def test_readers_see_the_old_file_until_the_block_ends(target):
    with written_whole(target) as temporary:
        temporary.write_text(NEW)
        assert target.read_text() == OLD
    assert target.read_text() == NEW
    assert list(target.parent.iterdir()) == [target]


def test_the_temporary_lies_beside_the_target_and_keeps_its_suffix(target):
    with written_whole(target) as temporary:
        assert temporary.parent == target.parent
        assert temporary.suffix == target.suffix
        assert temporary != target


def test_the_file_is_synced_before_it_takes_its_name(target, monkeypatch):
    def synced(_):
        assert target.read_text() == OLD
        calls.append("fsync")

    calls = []
    monkeypatch.setattr(os, "fsync", synced)
    write_text(target, NEW)
    assert calls == ["fsync"]


@pytest.mark.parametrize("error", [ValueError("bug"), KeyboardInterrupt(), SystemExit(1)])
def test_an_error_inside_the_block_passes_through_and_leaves_the_old_file(target, error):
    with pytest.raises(type(error)) as caught:
        write_half(target, error)
    assert caught.value is error
    assert untouched(target)


def test_an_interrupt_leaves_nothing_where_there_was_nothing(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        write_half(tmp_path / "plan.json", KeyboardInterrupt())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("owner", "function"), [(Path, "write_text"), (os, "fsync"), (Path, "chmod"), (Path, "replace")], ids=lambda x: str(x)
)
def test_a_full_disk_is_said_in_one_line_and_leaves_the_old_file(target, monkeypatch, owner, function):
    with monkeypatch.context() as patched:
        patched.setattr(owner, function, full_disk)
        with pytest.raises(InputError) as caught:
            write_text(target, NEW)
    assert str(caught.value) == (
        f"{target}: could not be written (No space left on device); "
        "free disk space or name another --out; nothing was left behind."
    )
    assert untouched(target)


def test_a_long_library_message_is_cut_to_one_line(target):
    # What HDF5 says when the disk is full: many lines, no strerror.
    hdf5 = "Can't synchronously write data (file write failed: time = Sun\n, filename = 'x', errno = 28\n)"
    with pytest.raises(InputError) as caught:
        write_half(target, OSError(hdf5))
    assert "\n" not in str(caught.value)
    assert untouched(target)


@pytest.mark.parametrize("kind", [xr.Dataset, xr.DataTree])
def test_netcdf_comes_back_as_it_was(target, kind):
    dataset = xr.Dataset({"loss": ("run", [2.5, 2.4], {"units": "nats/token"})}, attrs={"law": "yun"})
    content = dataset if kind is xr.Dataset else xr.DataTree.from_dict({"/posterior": dataset})
    write_netcdf(target, content)
    read = xr.load_dataset if kind is xr.Dataset else xr.load_datatree
    assert read(target, engine="netcdf4").identical(content)


def write_parquet(path: Path, frame: pd.DataFrame) -> None:
    """Write a table the way ``bayesmoe datasets fetch --out`` does."""
    with written_whole(path) as temporary:
        frame.to_parquet(temporary)


@contextmanager
def no_room():
    """Let no file grow beyond 10 kB: a full disk as the libraries that write files really meet it.

    Not for longer than the call: pytest's own words may go to a file.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


NOISE = np.random.default_rng(0).random(10_000)


@pytest.mark.parametrize(
    ("write", "content"),
    [
        (write_text, "x" * 100_000),
        (write_netcdf, xr.Dataset({"x": ("i", NOISE)})),
        (write_netcdf, xr.DataTree.from_dict({"/posterior": xr.Dataset({"x": ("i", NOISE)})})),
        (write_parquet, pd.DataFrame({"x": NOISE})),
    ],
    ids=["text", "dataset", "tree", "parquet"],
)
def test_a_file_that_does_not_fit_leaves_the_old_one(target, write, content):
    with (
        no_room(),
        pytest.raises(InputError, match=r"could not be written \(.*File too large.*\); free disk space") as caught,
    ):
        write(target, content)
    assert "\n" not in str(caught.value)
    assert untouched(target)


def test_no_temporary_where_the_folder_cannot_be_made(target):
    with pytest.raises(InputError, match="could not be written") as caught:
        write_text(target / "inside-a-file.json", NEW)
    assert caught.value.file == target / "inside-a-file.json"
    assert untouched(target)


def test_a_folder_is_not_replaced(target):
    with pytest.raises(InputError, match=r"could not be written \(Is a directory\)"):
        write_text(target.parent, NEW)
    assert untouched(target)
    assert list(target.parents[1].iterdir()) == [target.parent]


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o002, 0o664), (0o077, 0o600)], ids=oct)
def test_the_file_mode_follows_the_umask(tmp_path, umask, mode):
    before = os.umask(umask)
    try:
        write_text(tmp_path / "plan.json", NEW)
        after = os.umask(umask)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "plan.json").stat().st_mode) == mode
    assert after == umask


def test_what_cannot_be_written_is_said_before_the_work(tmp_path):
    def told(path: Path, *arguments: object, **more: object) -> str:
        with pytest.raises(InputError) as caught:
            require_writable(path, *arguments, **more)
        return str(caught.value)

    (tmp_path / "fit.nc").write_text(OLD)
    require_writable(tmp_path / "new" / "fit.nc", ".nc", reads=(None, tmp_path / "fit.nc"))
    assert told(tmp_path) == f"{tmp_path}: is a folder; name a file."
    assert told(tmp_path / "fit.csv", ".nc") == f"--out: must end in .nc, found '{tmp_path / 'fit.csv'}'."
    (tmp_path / "link.nc").symlink_to(tmp_path / "fit.nc")
    for name in ("fit.nc", "link.nc"):
        said = told(tmp_path / name, ".nc", reads=(None, tmp_path / "fit.nc"))
        assert said == f"{tmp_path / name}, --out: is a file that is read; name another file."
    said = told(tmp_path / "fit.nc" / "inside.nc")
    assert said == f"{tmp_path / 'fit.nc' / 'inside.nc'}: could not be written (Not a directory); name another --out."
    assert {path.name for path in tmp_path.iterdir()} == {"fit.nc", "link.nc"}


def test_a_file_that_is_read_must_be_there_and_a_file(tmp_path):
    (tmp_path / "a").write_text(OLD)
    assert require_file(tmp_path / "a") == tmp_path / "a"
    with pytest.raises(InputError, match="no such file; look again"):
        require_file(tmp_path / "b", hint="look again")
    with pytest.raises(InputError, match="is a folder; name a file"):
        require_file(tmp_path)
