"""Ctrl-C while the main thread is in compiled code: one line, exit code 130, within two seconds."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

GONE_S = 20.0
"""Far more than the two seconds, and far less than the work: other processes may have the cores."""

# Deriving this key takes minutes, and never looks at signals.
STUCK = "hashlib.pbkdf2_hmac('sha256', b'word', b'salt', 10**9)"
PROGRAM = f"""
import hashlib, pathlib, signal, sys, time
from bayesmoe import files, interrupts
# A shell's background job ignores interrupts, and so would its children.
signal.signal(signal.SIGINT, signal.default_int_handler)
out, how = pathlib.Path(sys.argv[1]), sys.argv[2]

def work():
    if how == 'written':
        files.write_text(out / 'done.txt', 'done')
    with files.written_whole(out / 'half.txt'):
        if how != 'kept':
            print('ready', flush=True)
            {STUCK}
        # On a busy machine the moment may be over before what is kept says so.
        interrupts._GRACE_S = 2.0
        try:
            print('ready', flush=True)
            time.sleep(60)
        except KeyboardInterrupt:
            interrupts.keep_going()
            time.sleep(3)
            print('kept', flush=True)

try:
    with interrupts.ends_soon(files.stopped):
        work()
except KeyboardInterrupt:
    print(files.stopped(), file=sys.stderr)
    sys.exit(interrupts.INTERRUPTED)
"""


def interrupted(tmp_path, how: str, times: int = 1) -> tuple[int, str, str]:
    """Exit code, output and errors of a program that is interrupted when it is ready."""
    command = [sys.executable, "-c", PROGRAM, str(tmp_path), how]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        for _ in range(times):
            time.sleep(0.3)
            process.send_signal(signal.SIGINT)
        try:
            out, err = process.communicate(timeout=GONE_S)
        finally:
            process.kill()
        return process.returncode, out, err


pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals of another kind")


def test_compiled_code_is_left_with_one_line(tmp_path):
    assert interrupted(tmp_path, "stuck") == (130, "", "stopped; nothing was written.\n")
    assert list(tmp_path.iterdir()) == []


def test_what_was_written_before_is_said(tmp_path):
    said = f"stopped; already written: {tmp_path / 'done.txt'}.\n"
    assert interrupted(tmp_path, "written") == (130, "", said)
    assert [path.name for path in tmp_path.iterdir()] == ["done.txt"]


def test_what_is_being_kept_may_take_its_time(tmp_path):
    assert interrupted(tmp_path, "kept") == (0, "kept\n", "")


def test_a_second_interrupt_ends_that_too(tmp_path):
    code, out, err = interrupted(tmp_path, "kept", times=2)
    assert (code, out, err) == (130, "", "stopped; nothing was written.\n")
