# SPDX-License-Identifier: Apache-2.0
"""
The rules of one wait, the same for every mode: what to log, when to ask again, when to stop and how.

A :class:`Wait` neither asks nor sleeps. Whoever does (a sensor on a worker, a trigger on an event loop) tells
it what came of each poll, and is told how many seconds to sleep, or gets the exception that ends the wait.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, NamedTuple

from airflow_import_progress.compat import AirflowSensorTimeout
from airflow_import_progress.exceptions import (
    ImportActionRequiredError,
    ImportFailedError,
    ImportPollError,
    ImportProgressError,
    ImportProtocolError,
    ImportRequestError,
)
from airflow_import_progress.hooks.base import Import
from airflow_import_progress.progress import ImportProgress, ImportState
from airflow_import_progress.waiting.gate import Decision, Gate, Verdict
from airflow_import_progress.waiting.published import PublishedProgress
from airflow_import_progress.waiting.schedule import Pace, Schedule

#: The exceptions that end a wait, by the names under which a trigger's event carries them to a worker.
WAIT_ERRORS: Mapping[str, type[Exception]] = {
    error.__name__: error
    for error in (
        AirflowSensorTimeout,
        ImportActionRequiredError,
        ImportFailedError,
        ImportPollError,
        ImportProgressError,
        ImportProtocolError,
        ImportRequestError,
    )
}
#: A wait that has nothing new to tell still says so this often, in seconds.
HEARTBEAT = 600.0
#: What to do where the vendor gets too many requests.
REFUSAL_ADVICE = (
    "The vendor asks for fewer requests: raise poke_interval, or lower requests_per_minute in the connection's extra."
)
#: A line is logged each time that this much more is done, in percent.
LOG_STEP = 10


class WaitSnapshot(NamedTuple):
    """
    What a wait has to tell.

    :param progress: The newest progress, or None if there was none yet.
    :param error: Why the last poll brought none, or why the wait ended badly; None if neither is so.
    :param failures: How many polls in a row failed. Those that the vendor refused as too many do not count.
    :param is_over: Whether the wait is over.
    """

    progress: ImportProgress | None
    error: str | None
    failures: int
    is_over: bool


class Wait:
    """
    Keep the rules of one wait.

    :param import_: The import that is waited for.
    :param conn_id: The Airflow connection through which it is asked for.
    :param gate: Decides whether the import passes.
    :param schedule: Decides when to ask again.
    :param started_at: When the wait began, in seconds since the epoch.
    :param deadline: When it ends at the latest, in seconds since the epoch. The wall clock on purpose: the wait
        moves between machines, and no other clock means the same on all of them.
    :param max_consecutive_failures: How many polls in a row may not get through before the wait gives up, from 1.
    :param silent_fail: Whether to log errors that would end the wait and go on until the deadline. An import
        that failed ends the wait all the same.
    :param log: Where to log.
    :param failures: How many polls in a row did not get through before this wait took over.
    :param last_warning: The warning of the progress that was logged before this wait took over, if any.
    :param last_observation: The newest percentage before this wait took over and when it was seen, in seconds since
        the epoch, if any.
    """

    def __init__(
        self,
        *,
        import_: Import,
        conn_id: str,
        gate: Gate,
        schedule: Schedule,
        started_at: float,
        deadline: float,
        max_consecutive_failures: int,
        silent_fail: bool,
        log: Any,
        failures: int = 0,
        last_warning: str | None = None,
        last_observation: tuple[float, float] | None = None,
    ) -> None:
        self.import_ = import_
        self.conn_id = conn_id
        self.subject = import_.describe(conn_id)
        self.gate = gate
        self.schedule = schedule
        self.started_at = started_at
        self.deadline = deadline
        self.max_consecutive_failures = max_consecutive_failures
        self.silent_fail = silent_fail
        self.log = log
        self.failures = failures
        self.last_warning = last_warning
        self.is_over = False
        #: How many polls in a row the vendor answered with too many requests.
        self._refusals = 0
        self._refusal_logged_at = 0.0
        #: Whether it was logged since the last answered poll.
        self._has_logged_refusal = False
        self._last_failure: str | None = None
        self._last_progress: ImportProgress | None = None
        #: When the newest progress was heard, in seconds since the epoch, or None.
        self.progress_at: float | None = None
        self._polled_at = started_at
        self._pace = Pace(last_observation)
        self._logged: tuple[ImportState, int | None] | None = None
        self._logged_at = 0.0

    @property
    def last_observation(self) -> tuple[float, float] | None:
        """Return the newest percentage and when it was seen, for a wait that takes over from this one."""
        return self._pace.last_observation

    @property
    def snapshot(self) -> WaitSnapshot:
        """Return what there is to tell: it has changed if this has."""
        return WaitSnapshot(self._last_progress, self._last_failure, self.failures, self.is_over)

    def to_publish(self, *, try_number: int, vendor: str) -> PublishedProgress:
        """
        Return what is known of the import and the wait, for people to look at.

        :param try_number: The try of the task that waits.
        :param vendor: The vendor's name.
        """
        now = time.time()
        seconds_left = None if self.is_over else self.seconds_left(now)
        return PublishedProgress(
            try_number=try_number,
            vendor=vendor,
            conn_id=self.conn_id,
            label=self.import_.label,
            import_id=self.import_.import_id,
            waiting_since=self.started_at,
            deadline=self.deadline,
            polled_at=self._polled_at,
            progress=self._last_progress.to_dict() if self._last_progress else None,
            progress_at=self.progress_at,
            percent_per_minute=self._pace.percent_per_minute,
            ends_at=None if seconds_left is None else now + seconds_left,
            error=self._last_failure,
            failures=self.failures,
        )

    def seconds_left(self, now: float) -> float | None:
        """
        Return how long the import is expected to take, in seconds, or None if too little is known.

        :param now: The time, in seconds since the epoch.
        """
        return self._pace.seconds_left(now)

    def end(self, error: Exception | None = None) -> None:
        """
        Take note that the wait is over.

        :param error: Why it ended badly, or None.
        """
        self.is_over = True
        if error is not None:
            self._last_failure = self._without_subject(error)

    def begin(self) -> None:
        """Log what is to be said once, before the first poll of all."""
        if self.import_.warning_before_start:
            self.log.warning("%s: %s", self.subject, self.import_.warning_before_start)

    def on_progress(self, progress: ImportProgress) -> float | None:
        """
        Take a progress and return how many seconds to sleep before the next poll, or None if the wait is over.

        :param progress: What the vendor answered.
        :raises ImportFailedError: if the import does not pass.
        :raises AirflowSensorTimeout: if the deadline is over.
        """
        if self.failures or self._has_logged_refusal:
            self.log.info("%s: polls get through again.", self.subject)
        self._has_logged_refusal = False
        self.failures, self._refusals, self._last_failure, self._last_progress = 0, 0, None, progress
        self._polled_at = self.progress_at = time.time()
        self._pace.observe(progress, self.progress_at)
        self._log_progress(progress)
        verdict = self.gate.judge(progress)
        if verdict.decision not in (Decision.PASS, Decision.WAIT):
            raise failure(self.import_, self.subject, verdict)
        self._log_warning(progress)
        if verdict.decision is Decision.PASS:
            return None
        now = time.time()
        return self._until_next(self.schedule.gap_after_progress(now - self.started_at, self._pace.gap(now)))

    def on_error(self, error: ImportProgressError) -> float:
        """
        Take an error and return how many seconds to sleep before the next poll.

        :param error: Why the poll brought no progress.
        :raises ImportPollError: if too many polls in a row did not get through.
        :raises ImportProgressError: the error itself, if asking again cannot help.
        :raises AirflowSensorTimeout: if the deadline is over.
        """
        self._polled_at = time.time()
        self._last_failure = self._without_subject(error)
        if error.rate_limited:
            return self._until_next_after_refusal(error)
        self.failures += 1
        if not self.silent_fail:
            if not error.transient:
                raise error
            self._check_deadline()
            if self.failures >= self.max_consecutive_failures:
                raise ImportPollError(
                    f"{self.subject}: gave up, because {self.failures} polls in a row did not get through. Whether "
                    f"the import succeeded is unknown: look at the vendor, and clear this task to wait again. "
                    f"The last one: {self._last_failure}"
                ) from None
        gap = self._until_next(self.schedule.gap_after_failure(self.failures, error.retry_after))
        allowed = "" if self.silent_fail else f" of at most {self.max_consecutive_failures} in a row"
        self.log.warning("Poll failed (number %d%s), next in %.0f s. %s", self.failures, allowed, gap, error)
        return gap

    def _until_next_after_refusal(self, error: ImportProgressError) -> float:
        # The vendor is well, so these are no failures, however many there are. Their gaps grow like those of failures.
        self._refusals += 1
        now = time.time()
        gap = self.schedule.gap_after_refusal(self._refusals, now - self.started_at, error.retry_after)
        gap = self._until_next(gap)
        # At a vendor's limit refusals and answers may alternate for hours.
        if now - self._refusal_logged_at >= HEARTBEAT:
            self._refusal_logged_at, self._has_logged_refusal = now, True
            self.log.warning("The vendor asks for fewer requests, next poll in %.0f s. %s", gap, error)
        return gap

    def _without_subject(self, error: Exception) -> str:
        return str(error).removeprefix(self.subject).removeprefix(":").strip()

    def _until_next(self, gap: float) -> float:
        self._check_deadline()
        return min(gap, self.deadline - time.time())

    def _check_deadline(self) -> None:
        if time.time() >= self.deadline:
            # The message tells of the failed poll, if there was one.
            raise AirflowSensorTimeout(self._timeout_message()) from None

    def _timeout_message(self) -> str:
        words = f"{self.subject}: not done within the timeout of {self.deadline - self.started_at:.10g} s."
        if self._last_failure is not None:
            words = f"{words} The last poll failed: {self._last_failure}"
            if self._refusals:
                words = f"{words} {REFUSAL_ADVICE}"
        elif self._last_progress is not None:
            status = self._last_progress.vendor_status
            words = f"{words} Last known: {self._last_progress} (status {status!r})."
            # What kept it waiting may stand far above in the log, or in that of another process.
            if obstacle := _obstacle(self.import_, self._last_progress):
                return f"{words} {obstacle[0].upper()}{obstacle[1:]}"
        return f"{words} The import may still be running at the vendor; clear this task to wait again."

    def _log_progress(self, progress: ImportProgress) -> None:
        now = time.time()
        step = None if progress.percent is None else int(progress.percent) // LOG_STEP
        if (progress.state, step) == self._logged and now - self._logged_at < HEARTBEAT:
            return
        self._logged, self._logged_at = (progress.state, step), now
        self.log.info("%s", progress.describe(self.seconds_left(now)))

    def _log_warning(self, progress: ImportProgress) -> None:
        warning = _obstacle(self.import_, progress)
        if warning and warning != self.last_warning:
            self.last_warning = warning
            self.log.warning("%s: %s", self.subject, warning)


def _obstacle(import_: Import, progress: ImportProgress) -> str | None:
    """Return what may keep a wait from ever ending well, or None."""
    if progress.state is not ImportState.ACTION_REQUIRED:
        return progress.warning
    words = f"it waits for somebody to act at the vendor (status {progress.vendor_status!r}), and this wait for that."
    return " ".join(filter(None, [words, import_.action_advice, progress.warning]))


def failure(import_: Import, subject: str, verdict: Verdict) -> ImportFailedError:
    """
    Return the exception for an import that does not pass.

    :param import_: The import.
    :param subject: The words by which to name it.
    :param verdict: Why it does not pass.
    """
    if verdict.decision is Decision.FAIL_FOR_ACTION:
        advice = import_.action_advice or "Act there."
        return ImportActionRequiredError(f"{subject} {verdict.reason}. {advice} Then clear this task.")
    return ImportFailedError(" ".join(filter(None, [f"{subject} {verdict.reason}.", import_.failure_advice])))
