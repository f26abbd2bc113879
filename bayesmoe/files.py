"""Output files are written whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from bayesmoe.errors import InputError

if TYPE_CHECKING:
    import xarray as xr


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
        yield temporary
        with temporary.open("rb+") as written:
            os.fsync(written.fileno())
        # mkstemp makes files private; what the user asked for should obey the user's own umask.
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        temporary.replace(path)
    except OSError as error:
        raise InputError(
            f"could not be written ({(error.strerror or str(error)).partition(chr(10))[0]})",
            file=path,
            cure="free disk space or name another --out; nothing was left behind",
        ) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def require_writable(path: str | Path) -> None:
    """Raise :class:`InputError` now if ``path`` cannot be written, rather than after hours of work."""
    path = Path(path)
    if path.is_dir():
        raise InputError("is a folder", file=path, cure="name a file")
    folder = next(parent for parent in path.absolute().parents if parent.exists())
    if not os.access(folder, os.W_OK):
        raise InputError("could not be written (no permission)", file=path, cure="name another --out")


def write_netcdf(path: str | Path, content: xr.Dataset | xr.DataTree) -> None:
    """Write a Dataset or DataTree to ``path`` as netCDF (HDF5), whole or not at all.

    The file is made in memory first: where a disk fills up while HDF5 writes, the library complains without end and may
    take the process with it.
    """
    made = bytes(content.to_netcdf(engine="h5netcdf"))
    with written_whole(path) as temporary:
        temporary.write_bytes(made)


def write_text(path: str | Path, text: str) -> None:
    """Write ``text`` to ``path`` as UTF-8, whole or not at all."""
    with written_whole(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
