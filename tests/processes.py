"""Environment of a process that a test starts."""

from __future__ import annotations

import os

import jax

CACHE = ("compilation_cache_dir", "persistent_cache_min_compile_time_secs", "persistent_cache_min_entry_size_bytes")


def environment() -> dict[str, str]:
    """A proxy that refuses every connection: nothing may need the network. Compiled programs are those of the tests."""
    refused = dict.fromkeys(("http_proxy", "https_proxy"), "http://127.0.0.1:9")
    kept = {f"JAX_{name}".upper(): str(getattr(jax.config, f"jax_{name}")) for name in CACHE}
    return {name: value for name, value in os.environ.items() if name != "BAYESMOE_DATA_DIR"} | refused | kept
