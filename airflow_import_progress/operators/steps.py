# SPDX-License-Identifier: Apache-2.0
"""The wait of an operator, and the requests in between: all of them share one timeout."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from datetime import datetime
from itertools import count
from typing import Any, NoReturn, TypeVar

from airflow_import_progress import clock
from airflow_import_progress.compat import AirflowSensorTimeout
from airflow_import_progress.exceptions import ImportActionRequiredError, ImportProgressError
from airflow_import_progress.sensors.base import BaseImportSensor

T = TypeVar("T")


class SteppingSensor(BaseImportSensor):
    """Base of a sensor that takes the steps for which an import waits, and then waits on."""

    #: When the wait of this try began, in seconds since the epoch; None: it has not.
    _waiting_since: float | None = None

    @abstractmethod
    def _take_step(self) -> bool:
        """Take the step that the import waits for, and return whether there was one."""

    def _wait_and_step(self, wait: Callable[[], dict[str, Any]], wait_again: Callable[[], dict[str, Any]]) -> Any:
        """
        Wait, and wait again after each step.

        :param wait: Waits for the first time, such as by taking the result of a deferred wait.
        :param wait_again: Waits for each further time.
        """
        while True:
            try:
                return wait()
            except ImportActionRequiredError:
                if self._is_timed_out:
                    raise self._timed_out("The import waits for its next step, which is not taken any more.") from None
                if not self._take_step_patiently():
                    raise
                clock.current.sleep(self.min_poke_interval)
                wait = wait_again

    def _take_step_patiently(self) -> bool:
        return self._patiently(self._take_step, lambda error: error.transient)

    def _patiently(self, send: Callable[[], T], may_be_repeated: Callable[[ImportProgressError], bool]) -> T:
        """
        Call a function again after errors that allow it, with the gaps and the limit of failed polls.

        Before the wait it gives up after the timeout. During the wait, the function is a part of it.
        """
        schedule, begun_at = self.wait_rules.schedule, clock.current.time()
        for failures in count(1):
            try:
                return send()
            except ImportProgressError as error:
                if not may_be_repeated(error):
                    raise
                if self._is_timed_out:
                    raise self._timed_out(f"The last request failed: {error}") from None
                gap = schedule.gap_after_failure(failures, error.retry_after)
                if failures >= self.max_consecutive_failures:
                    raise
                if self._waiting_since is not None:
                    gap = max(0.0, min(gap, self._waiting_since + self.timeout - clock.current.time()))
                elif clock.current.time() + gap > begun_at + self.timeout:
                    raise
                self.log.warning(
                    "The request failed (number %d of at most %d in a row) and is repeated in %.0f s. %s",
                    failures,
                    self.max_consecutive_failures,
                    gap,
                    error,
                )
                clock.current.sleep(gap)
        raise AssertionError

    @property
    def _is_timed_out(self) -> bool:
        return self._waiting_since is not None and clock.current.time() >= self._waiting_since + self.timeout

    def _timed_out(self, reason: str) -> AirflowSensorTimeout:
        return AirflowSensorTimeout(
            f"{self._subject}: not done within the timeout of {self.timeout:.10g} s. {reason} Clear this task to go on."
        )

    def _began_at(self, first_poke: datetime | None) -> float:
        # A wait that is interrupted by a step does not begin anew.
        if self._waiting_since is None:
            self._waiting_since = super()._began_at(first_poke)
        return self._waiting_since

    def defer(self, *, kwargs: dict[str, Any] | None = None, **arguments: Any) -> NoReturn:
        """
        Defer the wait, which does not begin anew when it resumes.

        :param kwargs: The arguments of the method that resumes.
        :param arguments: The other arguments of Airflow's ``defer()``.
        """
        super().defer(kwargs={**(kwargs or {}), "waiting_since": self._waiting_since}, **arguments)
