"""Ctrl-C ends a command within two seconds, also while it is in compiled code that never looks."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

INTERRUPTED = 130
"""Exit code of an interrupt."""

_GRACE_S, _LAST_S = 0.7, 0.2
_kept = threading.Event()


def keep_going() -> None:
    """Say that this interrupt is dealt with: what was made so far is about to be kept. The next one ends the command."""
    _kept.set()


@contextmanager
def ends_soon(last: Callable[[], str]) -> Iterator[None]:
    """End the process a moment after an interrupt that Python did not act on, with what ``last`` says and exit code 130.

    The interpreter raises KeyboardInterrupt between two of its own instructions only, and compiling or running a program is one of
    them: a signal's number is written into a pipe at once, whatever the main thread does, and another thread reads it there.
    """
    if threading.current_thread() is not threading.main_thread() or os.name == "nt":
        yield
        return
    read, write = os.pipe()
    os.set_blocking(write, False)
    before, over = signal.set_wakeup_fd(write, warn_on_full_buffer=False), threading.Event()
    threading.Thread(target=_watch, args=(read, last, over), daemon=True).start()
    try:
        yield
    finally:
        over.set()
        signal.set_wakeup_fd(before)
        os.close(write)


def _watch(read: int, last: Callable[[], str], over: threading.Event) -> None:
    seen = 0
    while byte := os.read(read, 1):
        if byte[0] != signal.SIGINT:
            continue
        # The main thread may have said that it keeps something before this one reads of the interrupt.
        again = seen > 0 and _kept.is_set()
        seen += 1
        time.sleep(_GRACE_S)
        if _kept.is_set() and not again:
            continue
        if over.is_set():
            # The command has ended, and waits for threads that compile; give its own words the time to be printed.
            time.sleep(_LAST_S)
        else:
            # A live bar leaves the cursor hidden and its line open.
            reset = "\x1b[?25h\r\x1b[K" if sys.__stderr__ is not None and sys.__stderr__.isatty() else ""
            os.write(2, f"{reset}{last()}\n".encode())
        os._exit(INTERRUPTED)
    os.close(read)
