# SPDX-License-Identifier: Apache-2.0
"""
End the processes of a local Airflow, even if the process that started them was killed.

Airflow's components fork, and its task processes leave their parent's process group. Ending a component by its process
group would leave tasks behind. A session (``setsid``) includes all of them, on Linux and on macOS.

Run as a program, this module is a watchdog. It reads the sessions to watch from its standard input and ends them when
that closes, which also happens if the parent is killed with SIGKILL.
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
    """Return the ids of the living processes of these sessions."""
    members = []
    for pid in psutil.pids():
        with contextlib.suppress(OSError, psutil.Error):
            if os.getsid(pid) in sessions and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
                members.append(pid)
    return members


def end_sessions(sessions: Collection[int], grace: float) -> None:
    """
    Terminate the leaders of these sessions, then kill the processes that remain.

    :param sessions: The sessions, by the process ids of their leaders.
    :param grace: The time between the two, in seconds.
    """
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
    """Kill every process of these sessions, and wait until they are gone."""
    deadline = time.monotonic() + 10
    while (members := session_members(sessions)) and time.monotonic() < deadline:
        for pid in members:
            _send(pid, signal.SIGKILL)
        time.sleep(0.05)


def leave_blocks_on_signals() -> None:
    """Let Ctrl-C and SIGTERM raise an exception, so that the program's ``with`` blocks are left."""
    # Set explicitly, because a shell starts background processes with SIGINT ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))


def _send(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


class Guard:
    """
    The watchdog process, as its parent uses it.

    :param home: The folder that is removed at the end.
    """

    def __init__(self, home: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tools.guard", str(home)],
            cwd=Path(__file__).resolve().parent.parent,
            stdin=subprocess.PIPE,
            text=True,
            start_new_session=True,  # so that neither Ctrl-C nor a closed terminal ends it early
        )
        self._commands = cast("IO[str]", self._process.stdin)

    def watch(self, session: int) -> None:
        """End this session if the parent dies."""
        self._send_command(f"watch {session}")

    def forget(self, session: int) -> None:
        """Stop watching this session. It has ended, and its id may be reused."""
        self._send_command(f"forget {session}")

    def close(self) -> None:
        """Let the watchdog end the sessions that it still watches, remove the home and exit."""
        with contextlib.suppress(BrokenPipeError):
            self._commands.close()
        self._process.wait(timeout=60)

    def _send_command(self, line: str) -> None:
        print(line, file=self._commands, flush=True)


def main() -> None:
    """Watch sessions until standard input closes, then end them and remove the home."""
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
