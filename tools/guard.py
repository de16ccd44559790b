# SPDX-License-Identifier: Apache-2.0
"""
End the processes of a local Airflow, even when the one that started them was killed.

Airflow's components fork, and its task processes leave their parent's process group, so ending a component by
its process group leaves tasks behind. A session (``setsid``) holds them all together, on Linux and on macOS
alike.

Run as a program, this module is a watchdog: it reads what to watch from its standard input and cleans up when
that closes, which also happens when the parent is killed with SIGKILL.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Collection
from pathlib import Path
from typing import IO, cast

import psutil  # type: ignore[import-untyped]


def session_members(sessions: Collection[int]) -> list[int]:
    """List the living processes of these sessions."""
    members = []
    for pid in psutil.pids():
        with contextlib.suppress(OSError, psutil.Error):
            if os.getsid(pid) in sessions and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
                members.append(pid)
    return members


def end_sessions(sessions: Collection[int], grace: float) -> None:
    """Ask the leaders of these sessions to end, and after ``grace`` seconds kill whatever is left of them."""
    if not sessions:
        return
    for leader in sessions:
        if leader in session_members({leader}):
            _send(leader, signal.SIGTERM)
    deadline = time.monotonic() + grace
    while session_members(sessions) and time.monotonic() < deadline:
        time.sleep(0.05)
    kill_sessions(sessions)


def kill_sessions(sessions: Collection[int]) -> None:
    """Kill every process of these sessions at once, and see them gone."""
    deadline = time.monotonic() + 10
    while (members := session_members(sessions)) and time.monotonic() < deadline:
        for pid in members:
            _send(pid, signal.SIGKILL)
        time.sleep(0.05)


def leave_blocks_on_signals() -> None:
    """Have Ctrl-C and SIGTERM end this program by an exception, so that its ``with`` blocks are left."""
    # Set anew, because a shell starts what it puts into the background with SIGINT ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))


def _send(pid: int, what: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, what)


class Guard:
    """The watchdog process, seen from its parent."""

    def __init__(self, home: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tools.guard", str(home)],
            cwd=Path(__file__).resolve().parent.parent,
            stdin=subprocess.PIPE,
            text=True,
            start_new_session=True,  # so that neither Ctrl-C nor a closed terminal ends it early
        )
        self._orders = cast("IO[str]", self._process.stdin)

    def watch(self, session: int) -> None:
        """Have this session ended if the parent dies."""
        self._tell(f"watch {session}")

    def forget(self, session: int) -> None:
        """Leave this session alone from now on: it has ended, and its number may be given to another."""
        self._tell(f"forget {session}")

    def close(self) -> None:
        """Let the watchdog end whatever it still watches, remove the home and leave."""
        with contextlib.suppress(BrokenPipeError):
            self._orders.close()
        self._process.wait(timeout=60)

    def _tell(self, line: str) -> None:
        print(line, file=self._orders, flush=True)


def main() -> None:
    """Watch until standard input closes, then end all sessions still watched and remove the home."""
    home = Path(sys.argv[1])
    sessions: set[int] = set()
    for line in sys.stdin:
        command, number = line.split()
        if command == "watch":
            sessions.add(int(number))
        else:
            sessions.discard(int(number))
    end_sessions(sessions, grace=3)
    shutil.rmtree(home, ignore_errors=True)


if __name__ == "__main__":
    main()
