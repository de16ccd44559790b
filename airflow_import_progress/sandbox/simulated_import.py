# SPDX-License-Identifier: Apache-2.0
"""One simulated import: its script, and when it was started and stopped."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from airflow_import_progress.sandbox.checks import Json
from airflow_import_progress.sandbox.script import DONE, Script


class UnknownImportError(Exception):
    """Raised if a vendor has no import with the requested id and kind."""


@dataclass
class SimulatedImport:
    """
    A simulated import.

    :param vendor: Name of the vendor.
    :param kind: One of the vendor's kinds of import.
    :param import_id: Its id at the vendor.
    :param script: Its course.
    :param file_name: Name of the uploaded file. None: nothing was uploaded.
    :param analysis_only: Whether the client requested an analysis only.
    :param answers_given: Number of progress requests that were answered.
    :param clock: Returns the time, in seconds since 1970.
    :param stopped: Time at which it was stopped before its end. None: it was not stopped.
    """

    vendor: str
    kind: str
    import_id: str
    script: Script
    file_name: str | None = None
    analysis_only: bool = False
    answers_given: int = 0
    clock: Callable[[], float] = time.time
    stopped: float | None = None
    #: Time of its creation.
    created_at: float = field(init=False)
    #: Time of its last start.
    started: float = field(init=False)

    def __post_init__(self) -> None:
        self.created_at = self.started = self.clock()

    def start(self) -> None:
        """Run from the beginning."""
        self.started = self.clock()

    def stop(self) -> None:
        """Keep the progress of this moment for ever."""
        if self.stopped is None:
            self.stopped = self.clock()

    def elapsed(self) -> float:
        """Return the seconds for which the import has been running."""
        end = self.clock() if self.stopped is None else self.stopped
        return max(0.0, end - self.started)

    def timestamp(self, seconds: float) -> str:
        """
        Return the date and time, in UTC, of a number of seconds after the creation.

        :param seconds: Seconds since the creation.
        """
        return datetime.fromtimestamp(self.created_at + seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    def reported_progress(self, progress_in: Callable[[Json], float | None]) -> float | None:
        """
        Return the progress that the client can see: with literal answers, that of the last one it received.

        :param progress_in: The vendor's :meth:`.Vendor.progress_in`.
        """
        if not self.script.answers:
            return self.script.progress_at(self.elapsed())
        if self.answers_given == 0:
            return 0.0
        return progress_in(self.script.answer_at(self.answers_given - 1))

    def is_over(self, progress_in: Callable[[Json], float | None]) -> bool:
        """
        Return True if the import has succeeded or failed, as far as its client can see.

        :param progress_in: The vendor's :meth:`.Vendor.progress_in`.
        """
        progress = self.reported_progress(progress_in)
        return progress is not None and (progress >= DONE or progress < 0)
