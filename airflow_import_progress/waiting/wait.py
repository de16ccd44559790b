# SPDX-License-Identifier: Apache-2.0
"""
One wait, the same in every mode: what it logs, when it polls again, when it ends and how.

A :class:`Wait` neither polls nor sleeps. Its caller (a sensor on a worker, a trigger on an event loop, the command)
passes it the result of each poll. It returns how many seconds to sleep, or raises the exception that ends the wait.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from airflow_import_progress.compat import AirflowSensorTimeout
from airflow_import_progress.exceptions import (
    ImportActionRequiredError,
    ImportFailedError,
    ImportPollError,
    ImportProgressError,
)
from airflow_import_progress.imports import Import
from airflow_import_progress.progress import ImportProgress, ImportState
from airflow_import_progress.waiting.gate import Decision, Verdict
from airflow_import_progress.waiting.metrics import Metrics, NoMetrics
from airflow_import_progress.waiting.rules import WaitRules
from airflow_import_progress.waiting.schedule import Pace
from airflow_import_progress.waiting.state import WaitState

#: How often a wait logs although nothing has changed, in seconds.
HEARTBEAT = 600.0
#: The advice for a vendor that gets too many requests.
RATE_LIMIT_ADVICE = "The vendor asks for fewer requests: raise the poke_interval of the waits on this connection."
#: How much progress is logged as a line, in percent.
LOG_STEP = 10


class Wait:
    """
    Apply the rules of one wait, and keep its state.

    :param import_: The import that is waited for.
    :param conn_id: The Airflow connection through which it is polled.
    :param rules: The rules.
    :param state: The state with which this process takes the wait over.
    :param log: Where to log.
    :param clock: Returns the time, in seconds since the epoch.
    :param metrics: Counts what happens. None: nothing is counted.
    """

    def __init__(
        self,
        *,
        import_: Import,
        conn_id: str,
        rules: WaitRules,
        state: WaitState,
        log: Any,
        clock: Callable[[], float],
        metrics: Metrics | None = None,
    ) -> None:
        self.import_ = import_
        self.conn_id = conn_id
        self.subject = import_.describe(conn_id)
        self.rules = rules
        self.state = state
        self.schedule = rules.schedule
        #: The pace of the import so far, and the estimate of its end.
        self.pace = Pace(state.last_observation)
        self.log = log
        self.clock = clock
        self.metrics = metrics or NoMetrics()
        #: Number of polls in a row that exceeded the vendor's rate limit.
        self._rate_limited_polls = 0
        self._rate_limit_logged_at = 0.0
        #: Whether the rate limit was logged since the last successful poll.
        self._has_logged_rate_limit = False
        self._logged: tuple[ImportState, int | None] | None = None
        self._logged_at = 0.0

    def end(self, error: Exception | None = None) -> None:
        """
        End the wait.

        :param error: The error that ended it; None: there was none.
        """
        self.state.is_over, self.state.next_poll_at = True, None
        if error is not None:
            self.state.error = self._without_subject(error)
            self.metrics.on_end(error)

    def begin(self) -> None:
        """Log what is logged once, before the first poll of all."""
        if self.import_.warning_before_start:
            self.log.warning("%s: %s", self.subject, self.import_.warning_before_start)

    def on_progress(self, progress: ImportProgress) -> float | None:
        """
        Take a progress, and return how many seconds to sleep before the next poll, or None if the import passes.

        :param progress: The progress that the vendor reported.
        :raises ImportFailedError: if the import does not pass.
        :raises AirflowSensorTimeout: if the deadline has passed.
        """
        state = self.state
        self.metrics.on_poll()
        if state.failures or self._has_logged_rate_limit:
            self.log.info("%s: polls get through again.", self.subject)
        self._rate_limited_polls, self._has_logged_rate_limit = 0, False
        state.failures, state.error, state.is_rate_limited, state.progress = 0, None, False, progress
        state.polled_at = state.progress_at = self.clock()
        state.next_poll_at = None
        self.pace.observe(progress, state.progress_at)
        state.last_observation = self.pace.last_observation
        self._log_progress(progress)
        verdict = self.rules.gate.judge(progress)
        if progress.state.is_final:
            self.metrics.on_final_progress(progress, state.started_at, state.progress_at)
        if verdict.decision not in (Decision.PASS, Decision.WAIT):
            raise import_failed_error(self.import_, self.subject, verdict)
        self._log_warning(progress)
        if verdict.decision is Decision.PASS:
            self.metrics.on_end()
            return None
        now = self.clock()
        return self._until_next(self.schedule.gap_after_progress(now - state.started_at, self.pace.gap(now)))

    def on_error(self, error: ImportProgressError) -> float:
        """
        Take an error, and return how many seconds to sleep before the next poll.

        :param error: Why the poll failed.
        :raises ImportPollError: if too many polls in a row failed.
        :raises ImportProgressError: the error itself, if polling again cannot help.
        :raises AirflowSensorTimeout: if the deadline has passed.
        """
        state, limit = self.state, self.rules.max_consecutive_failures
        self.metrics.on_poll(error)
        state.polled_at, state.next_poll_at = self.clock(), None
        state.error, state.is_rate_limited = self._without_subject(error), error.rate_limited
        if error.rate_limited:
            return self._until_next_after_rate_limit(error)
        state.failures += 1
        if not self.rules.silent_fail:
            if not error.transient:
                raise error
            self._check_deadline()
            if state.failures >= limit:
                raise ImportPollError(
                    f"{self.subject}: gave up, because {state.failures} polls in a row did not get through. Whether "
                    f"the import succeeded is unknown: look at the vendor, and clear this task to wait again. "
                    f"The last one: {state.error}"
                ) from None
        gap = self._until_next(self.schedule.gap_after_failure(state.failures, error.retry_after))
        allowed = "" if self.rules.silent_fail else f" of at most {limit} in a row"
        self.log.warning("Poll failed (number %d%s), next in %.0f s. %s", state.failures, allowed, gap, error)
        return gap

    def _until_next_after_rate_limit(self, error: ImportProgressError) -> float:
        # The vendor is available, so these polls are not failures, however many there are. Their gaps grow as those of
        # failures do.
        self._rate_limited_polls += 1
        now = self.clock()
        gap = self.schedule.gap_after_rate_limit(
            self._rate_limited_polls, now - self.state.started_at, error.retry_after
        )
        gap = self._until_next(gap)
        # Log it only now and then: at a vendor's limit, rejected and successful polls may alternate for hours.
        if now - self._rate_limit_logged_at >= HEARTBEAT:
            self._rate_limit_logged_at, self._has_logged_rate_limit = now, True
            self.log.warning("The vendor asks for fewer requests, next poll in %.0f s. %s", gap, error)
        return gap

    def _without_subject(self, error: Exception) -> str:
        return str(error).removeprefix(self.subject).removeprefix(":").strip()

    def _until_next(self, gap: float) -> float:
        self._check_deadline()
        now = self.clock()
        gap = min(gap, self.state.deadline - now)
        self.state.next_poll_at = now + gap
        return gap

    def _check_deadline(self) -> None:
        if self.clock() >= self.state.deadline:
            # The message contains the failed poll, if there was one.
            raise AirflowSensorTimeout(self._timeout_message()) from None

    def _timeout_message(self) -> str:
        state = self.state
        words = f"{self.subject}: not done within the timeout of {state.deadline - state.started_at:.10g} s."
        if state.error is not None:
            words = f"{words} The last poll failed: {state.error}"
            if self._rate_limited_polls:
                words = f"{words} {RATE_LIMIT_ADVICE}"
        elif state.progress is not None:
            words = f"{words} Last known: {state.progress} (status {state.progress.vendor_status!r})."
            # Repeated here, because the warning may be far above in the log, or in that of another process.
            if obstacle := _obstacle(self.import_, state.progress):
                return f"{words} {obstacle[0].upper()}{obstacle[1:]}"
        return f"{words} The import may still be running at the vendor; clear this task to wait again."

    def _log_progress(self, progress: ImportProgress) -> None:
        now = self.clock()
        step = None if progress.percent is None else int(progress.percent) // LOG_STEP
        if (progress.state, step) == self._logged and now - self._logged_at < HEARTBEAT:
            return
        self._logged, self._logged_at = (progress.state, step), now
        self.log.info("%s", progress.describe(self.pace.seconds_left(now)))

    def _log_warning(self, progress: ImportProgress) -> None:
        warning = _obstacle(self.import_, progress)
        if warning and warning != self.state.last_warning:
            self.state.last_warning = warning
            self.log.warning("%s: %s", self.subject, warning)


def _obstacle(import_: Import, progress: ImportProgress) -> str | None:
    """Return the reason why a wait may never end in success, or None."""
    if progress.state is not ImportState.ACTION_REQUIRED:
        return progress.warning
    words = f"it waits for somebody to act at the vendor (status {progress.vendor_status!r}), and this wait for that."
    return " ".join(filter(None, [words, import_.action_advice, progress.warning]))


def import_failed_error(import_: Import, subject: str, verdict: Verdict) -> ImportFailedError:
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
