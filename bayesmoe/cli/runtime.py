"""Settings of a command-line process: JAX in double precision with a persistent compile cache, and a plotting backend."""

from __future__ import annotations

import os


def configure() -> None:
    """Set up JAX and matplotlib for a command; the library itself never does."""
    import jax
    import pooch

    jax.config.update("jax_enable_x64", True)
    if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
        jax.config.update("jax_compilation_cache_dir", str(pooch.os_cache("bayesmoe") / "jax"))
    # The defaults skip fast and small programs, which is most of ours.
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
    os.environ.setdefault("MPLBACKEND", "Agg")
