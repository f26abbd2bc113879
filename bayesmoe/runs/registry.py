"""Registered data sets: where each comes from, its checksum and license, and how it becomes a run table."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pandas as pd
import pooch

from bayesmoe.errors import InputError, nearest
from bayesmoe.resources import resource_folder
from bayesmoe.runs.sources import ADAPTERS
from bayesmoe.specs import read_toml, spec

MIRROR_VARIABLE = "BAYESMOE_DATA_DIR"
"""Environment variable that names a folder with copies of the upstream files."""


@spec
class RawFile:
    """One upstream file: its name in a mirror or the cache, checksum, and either a URL or a place in ``datasets/``."""

    name: str
    sha256: str
    url: str | None = None
    bytes: int | None = None


@spec
class Registered:
    """One registered data set."""

    title: str
    citation: str
    license: str
    upstream: str
    redistributable: bool
    simulated: bool = False
    files: dict[str, RawFile]


@spec
class _Registry:
    data: dict[str, Registered]


@dataclass(frozen=True)
class Source:
    """A data set as loaded: its tidy frame, the checksum of its first raw file, and whether it was simulated."""

    frame: pd.DataFrame
    sha256: str
    simulated: bool


@cache
def registered() -> dict[str, Registered]:
    """All registered data sets by name."""
    path = resource_folder("datasets") / "registry.toml"
    return read_toml(path, _Registry).data


def registered_as(name: str) -> Registered:
    """The entry of that name, or :class:`InputError` with the nearest known one."""
    if name not in registered():
        raise InputError("is not a registered data set", column="source", value=name, hint=nearest(name, list(registered())))
    return registered()[name]


def load_source(name: str) -> Source:
    """Load a registered data set from the mirror or the cache, without touching the network.

    Raises
    ------
    InputError
        The name is unknown, a file was never fetched, or its checksum differs.
    """
    entry = registered_as(name)
    raw = {key: _local(name, file) for key, file in entry.files.items()}
    first = next(iter(entry.files.values()))
    return Source(ADAPTERS[name](raw), first.sha256, entry.simulated)


def fetch(name: str) -> list[Path]:
    """Download what a data set needs into the user's cache, and return the local files.

    Raises
    ------
    InputError
        The name is unknown, the download fails, or its checksum differs; nothing is kept then.
    """
    entry = registered_as(name)
    paths = []
    for file in entry.files.values():
        try:
            paths.append(_local(name, file))
        except InputError:
            if file.url is None or (_cache() / file.name).is_file() or _mirrored(file) is not None:
                raise
            paths.append(_downloaded(file, file.url))
    return paths


def _downloaded(file: RawFile, url: str) -> Path:
    try:
        pooch.retrieve(url, f"sha256:{file.sha256}", fname=file.name, path=_cache())
    except ValueError as error:
        raise InputError(
            f"the download does not match the registered sha256 {file.sha256[:12]}… and was thrown away",
            file=url,
            hint="try again; if it persists the upstream file changed and this version of bayesmoe does not know it",
        ) from error
    except Exception as error:  # network errors come in many kinds, from requests, urllib3 and the OS
        raise InputError(
            f"could not be downloaded ({type(error).__name__})",
            file=url,
            hint=f"check the network, or put the file {file.name} in the folder named by {MIRROR_VARIABLE}",
        ) from error
    return _cache() / file.name


def _local(name: str, file: RawFile) -> Path:
    embedded = resource_folder("datasets") / file.name
    path = embedded if embedded.is_file() else _mirrored(file) or _cache() / file.name
    if not path.is_file():
        raise InputError(
            "has not been fetched",
            file=file.name,
            hint=f"run `bayesmoe datasets fetch {name}`, or set {MIRROR_VARIABLE} to a folder that holds it",
        )
    found = pooch.file_hash(str(path), alg="sha256")
    if found != file.sha256:
        raise InputError(
            f"must have sha256 {file.sha256[:12]}…",
            file=path,
            value=f"{found[:12]}…",
            hint=f"the file is damaged or not the registered version: delete it and run `bayesmoe datasets fetch {name}`",
        )
    return path


def _mirrored(file: RawFile) -> Path | None:
    folder = os.environ.get(MIRROR_VARIABLE)
    path = Path(folder) / file.name if folder else None
    return path if path is not None and path.is_file() else None


def _cache() -> Path:
    return Path(pooch.os_cache("bayesmoe")) / "datasets"


__all__ = ["Registered", "Source", "fetch", "load_source", "registered", "registered_as"]
