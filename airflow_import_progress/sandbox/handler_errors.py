# SPDX-License-Identifier: Apache-2.0
"""The exceptions of simulated vendors, which their clients see only as HTTP 500."""

from __future__ import annotations

import threading
from types import TracebackType


class HandlerErrors:
    """The first exception from each place in the code of simulated vendors. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._errors: dict[tuple[type[Exception], str, int], Exception] = {}

    def add(self, error: Exception, note: str) -> None:
        """
        Add an exception, unless there is one from the same place: a client may repeat its request many times.

        :param error: The exception.
        :param note: A note about the request, which the exception gets.
        """
        with self._lock:
            if self._errors.setdefault(_place_of(error), error) is error:
                error.add_note(note)

    def all(self) -> list[Exception]:
        """Return the exceptions, oldest first."""
        with self._lock:
            return list(self._errors.values())


def _place_of(error: Exception) -> tuple[type[Exception], str, int]:
    file, line = "", 0
    traceback: TracebackType | None = error.__traceback__
    while traceback is not None:
        file, line, traceback = traceback.tb_frame.f_code.co_filename, traceback.tb_lineno, traceback.tb_next
    return type(error), file, line
