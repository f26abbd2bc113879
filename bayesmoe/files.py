"""Output files are written whole or not at all."""

from __future__ import annotations

import os
import tempfile
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import bayesmoe
from bayesmoe.errors import InputError

if TYPE_CHECKING:
    import xarray as xr


_unfinished: set[Path] = set()
_written: list[Path] = []


def begin() -> None:
    """Forget what was written before: a command begins."""
    _written.clear()


def stopped() -> str:
    """What an interrupt leaves behind, in words; what was being written is removed."""
    for path in tuple(_unfinished):
        path.unlink(missing_ok=True)
    kept = [str(path) for path in _written]
    return f"stopped; already written: {', '.join(kept)}." if kept else "stopped; nothing was written."


@contextmanager
def written_whole(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path`` that replaces it only when the block ends well.

    The temporary file is synced to disk before the rename and removed on any error or interrupt, so a reader never
    meets half a file and a failed run leaves an older file as it was.

    Raises
    ------
    InputError
        The folder cannot be written or the disk is full.
    """
    path = Path(path)
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}-", suffix=path.suffix)
        os.close(handle)
        temporary = Path(name)
        _unfinished.add(temporary)
        yield temporary
        with temporary.open("rb+") as written:
            os.fsync(written.fileno())
        # mkstemp makes files private; what the user asked for should obey the user's own umask.
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        temporary.replace(path)
        _written.append(path)
    except OSError as error:
        raise InputError(
            f"could not be written ({(error.strerror or str(error)).partition(chr(10))[0]})",
            file=path,
            hint="free disk space or name another --out; nothing was left behind",
        ) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
            _unfinished.discard(temporary)


def require_file(path: str | Path, hint: str = "check the path") -> Path:
    """The path of a file that is there, or :class:`InputError`."""
    path = Path(path)
    if path.is_dir():
        raise InputError("is a folder", file=path, hint="name a file")
    if not path.is_file():
        raise InputError("no such file", file=path, hint=hint)
    return path


def require_writable(path: str | Path, suffix: str | None = None, *, reads: Iterable[str | Path | None] = ()) -> None:
    """Raise :class:`InputError` now if ``path`` cannot be written, rather than after hours of work.

    Parameters
    ----------
    path : path
        Where the output goes.
    suffix : str, optional
        What its name must end in.
    reads : iterable of path or None
        Files that are read, which the output must not replace.
    """
    path = Path(path)
    if path.is_dir():
        raise InputError("is a folder", file=path, hint="name a file")
    if suffix is not None and path.suffix != suffix:
        raise InputError(f"must end in {suffix}", column="--out", value=str(path))
    if any(one is not None and path.resolve() == Path(one).resolve() for one in reads):
        raise InputError("is a file that is read", file=path, column="--out", hint="name another file")
    folder = next(parent for parent in path.absolute().parents if parent.exists())
    try:
        # Whether a folder takes files is not known from its permissions alone: some file systems take none.
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise InputError(
            f"could not be written ({error.strerror or 'no permission'})", file=path, hint="name another --out"
        ) from error


_ENGINE: Literal["netcdf4"] = "netcdf4"
"""h5netcdf takes nine times as long to read a fit of five laws, which has 650 variables."""

_UNREADABLE = (OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError, EOFError, UserWarning)
"""What reading a file that is no netCDF, or a damaged one, may raise."""


class Header(NamedTuple):
    """What a netCDF file says of itself.

    Attributes
    ----------
    attrs : dict
        Its attributes.
    groups : frozenset of str
        Names of its groups.
    """

    attrs: dict[str, Any]
    groups: frozenset[str]


def read_header(path: Path, hint: str) -> Header:
    """Read what a netCDF file says of itself, without its arrays, which take most of the time.

    Raises
    ------
    InputError
        The file is no netCDF.
    """
    import netCDF4

    with _readable(path, hint), netCDF4.Dataset(path) as file:
        return Header({name: file.getncattr(name) for name in file.ncattrs()}, frozenset(file.groups))


def read_dataset(path: Path, hint: str) -> xr.Dataset:
    """Read a netCDF file into memory and close it; :class:`InputError` where it is none, or a damaged one."""
    import xarray as xr

    with _readable(path, hint):
        return xr.load_dataset(path, engine=_ENGINE)


def read_datatree(path: Path, hint: str) -> xr.DataTree:
    """Read all groups of a netCDF file into memory and close it; :class:`InputError` where it is none, or a damaged one."""
    import xarray as xr

    with _readable(path, hint), xr.open_datatree(path, engine=_ENGINE) as opened:
        return opened.load()


@contextmanager
def _readable(path: Path, hint: str) -> Iterator[None]:
    try:
        with warnings.catch_warnings():
            # What netCDF4 does not know, such as an opaque type, it skips with a warning.
            warnings.simplefilter("error", UserWarning)
            yield
    except _UNREADABLE as error:
        raise InputError(f"is not readable netCDF ({type(error).__name__})", file=path, hint=hint) from error


def require_format(attrs: Mapping[Any, Any], reads: int, path: str | Path, *, again: str) -> None:
    """Raise :class:`InputError` where a file has another layout than the one that this version reads.

    Parameters
    ----------
    attrs : mapping
        Attributes of the file: ``format`` and ``bayesmoe_version``.
    reads : int
        The layout that this version reads.
    path : path
        The file.
    again : str
        How to make the file with this version: "refit".
    """
    try:
        found = int(attrs["format"])
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise InputError(
            "does not say in which layout it was written", file=path, hint=f"{again} with this version"
        ) from error
    if found == reads:
        return
    version, newer = attrs.get("bayesmoe_version"), found > reads
    if version is None:
        by, install = "another version of bayesmoe", "install a newer bayesmoe" if newer else None
    elif version == bayesmoe.__version__:
        # A version changes its layout until it is released.
        by, install = f"another state of bayesmoe {version}", "install a newer state of it" if newer else None
    else:
        by, install = f"bayesmoe {version}", f"install bayesmoe {'>=' if newer else '=='} {version}"
    raise InputError(
        f"was written by {by}, in {'a newer' if newer else 'an older'} layout ({found}) than this version reads ({reads})",
        file=path,
        hint=", or ".join(hint for hint in (None if newer else again, install) if hint is not None),
    )


def write_netcdf(path: str | Path, content: xr.Dataset | xr.DataTree) -> None:
    """Write a Dataset or DataTree to ``path`` as netCDF (HDF5), whole or not at all.

    The file is made in memory first: where a disk fills up while HDF5 writes, the library complains without end and may
    take the process with it.
    """
    made = bytes(content.to_netcdf(engine=_ENGINE))
    with written_whole(path) as temporary:
        temporary.write_bytes(made)


def write_text(path: str | Path, text: str) -> None:
    """Write ``text`` to ``path`` as UTF-8, whole or not at all."""
    with written_whole(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
