# SPDX-License-Identifier: Apache-2.0
"""The base of the sensors: the modes, and the effect of each outcome in Airflow."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow_import_progress import clock
from airflow_import_progress.compat import (
    AirflowRescheduleException,
    AirflowSensorTimeout,
    BaseOperator,
    PokeReturnValue,
    TaskDeferralError,
    TaskDeferralTimeout,
    first_poke_at,
    is_deferral_timeout,
    store_link,
)
from airflow_import_progress.exceptions import (
    ImportFailedError,
    ImportPollError,
    ImportProgressError,
    ImportProtocolError,
)
from airflow_import_progress.hooks.base import ImportProgressHook
from airflow_import_progress.imports import Import
from airflow_import_progress.links import ImportLink
from airflow_import_progress.progress import ImportProgress, require_whole_number
from airflow_import_progress.sensors.skipping import skipping
from airflow_import_progress.sensors.without_workers import SensorWithoutWorkers, class_path
from airflow_import_progress.waiting.event import progress_or_raise, reason_not_started
from airflow_import_progress.waiting.gate import Decision, Gate
from airflow_import_progress.waiting.publishing import WorkerPublisher
from airflow_import_progress.waiting.rules import WaitRules
from airflow_import_progress.waiting.schedule import MIN_GAP, MIN_POKE_INTERVAL
from airflow_import_progress.waiting.state import WaitState
from airflow_import_progress.waiting.wait import Wait, import_failed_error

if TYPE_CHECKING:
    from airflow_import_progress.compat import Context

#: Shortest time that a wait is off the worker, in seconds. If a task resumes before the scheduler has processed its
#: deferral, Airflow treats it as a zombie and spends a retry. A busy scheduler may be many seconds late. A deferred
#: wait runs that risk once, a rescheduled one at every poll.
MIN_DEFERRAL = 10.0
MIN_RESCHEDULE_DELAY = 30.0

#: Longest timeout, in seconds. A longer one may end at a date that Python cannot represent.
MAX_TIMEOUT = 10 * 366 * 86400


class BaseImportSensor(SensorWithoutWorkers):
    """
    Base of the sensors: wait until an import has really succeeded, and fail if it has not.

    The result, and so the task's XCom, is the last progress as a dict
    (:meth:`~airflow_import_progress.progress.ImportProgress.to_dict`).

    The worker polls once. If the import is not over yet, the wait continues

    * in the triggerer, without a worker, if ``deferrable`` is set (the default; ``mode`` is then ignored);
    * on the worker, which sleeps between the polls, with ``mode="poke"``;
    * on a worker that is started anew for each poll, with ``mode="reschedule"``.

    The outcomes are the same in every mode:

    * The import failed, was cancelled or was refused by the gate: :class:`.ImportFailedError`, which spends no
      retries. ``soft_fail`` and ``never_fail`` make it a skip.
    * ``timeout`` has passed: ``AirflowSensorTimeout``, which spends no retries. ``soft_fail`` and ``never_fail``
      make it a skip.
    * The state of the import is unknown (:class:`.ImportProgressError`): the task fails and may be retried.
      ``never_fail`` makes it a skip. With ``silent_fail`` it is logged, and the wait continues until the timeout.

    A subclass may start the import in ``execute()``, set the argument that identifies it, and call
    ``super().execute(context)``. Until then the argument is
    :data:`~airflow_import_progress.sensors.arguments.NOT_GIVEN`. That does not work with ``mode="reschedule"``, where
    Airflow executes a sensor anew for each poll.

    :param deferrable: Whether to wait in the triggerer. Default True, regardless of ``[operators] default_deferrable``.
    :param start_from_trigger: Whether the wait starts in the triggerer, without a worker that polls first and defers.
        Default: the attribute of the class, which is False unless a subclass sets it. Needs Airflow 3.3. Where it is
        not possible, the wait starts on a worker, whose log gives the reason. A mapped sensor ignores it.
    :param end_from_trigger: Whether a wait that passes ends in the triggerer, without a worker that takes the result.
        Default False. Needs Airflow 3.3, like ``start_from_trigger``. All other waits end on a worker.
    :param min_poke_interval: Shortest gap between two polls, in seconds from 1. The gap shrinks from
        ``poke_interval`` to this when the import is expected to end. Default 5. A value above ``poke_interval`` counts
        as ``poke_interval``: the gap is then fixed. With ``mode="reschedule"`` the gap is always ``poke_interval``.
    :param max_consecutive_failures: How many polls in a row may fail (connection errors, HTTP 408, 425 and 5xx,
        answers that are not JSON) before the wait gives up, from 1. The gap between them doubles from 5 s up to 5
        minutes, or is as long as ``Retry-After`` asks. The default of 10 survives an outage of 16 minutes.
    :param kwargs: The arguments of every Airflow sensor: ``poke_interval`` (seconds, default 60, at least 1),
        ``timeout`` (seconds, default 7 days), ``mode``, ``soft_fail``, ``never_fail``, ``silent_fail``,
        ``exponential_backoff``, ``max_wait``, and those of every operator.
    :raises ValueError: if an argument is outside its range; the message names it.
    """

    operator_extra_links = (ImportLink(),)
    _is_base_of_sensors = True
    #: The hook that has polled on this worker, if any: it has looked the connection up.
    _hook_that_polled: ImportProgressHook | None = None
    #: The import that was waited for in the triggerer, once a worker has resumed.
    _deferred_import: Import | None = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if cls.gate is not BaseImportSensor.gate:
            raise TypeError(f"{cls.__name__} hides the property gate, which makes all modes judge alike")

    def __init__(
        self,
        *,
        deferrable: bool = True,
        start_from_trigger: bool | None = None,
        end_from_trigger: bool = False,
        min_poke_interval: timedelta | float = MIN_POKE_INTERVAL,
        max_consecutive_failures: int = 10,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if isinstance(min_poke_interval, timedelta):
            min_poke_interval = min_poke_interval.total_seconds()
        if (
            isinstance(min_poke_interval, bool)
            or not isinstance(min_poke_interval, int | float)
            or not MIN_GAP <= min_poke_interval < math.inf
        ):
            raise ValueError(f"min_poke_interval must be a number of seconds from 1, not {min_poke_interval!r}")
        require_whole_number("max_consecutive_failures", max_consecutive_failures, 1)
        if not self.timeout <= MAX_TIMEOUT:
            raise ValueError(f"timeout must be at most {MAX_TIMEOUT:.0f} seconds (ten years), not {self.timeout!r}")
        if start_from_trigger is None:
            start_from_trigger = self._wants_trigger_start_by_default
        if (start_from_trigger or end_from_trigger) and not deferrable:
            raise ValueError("start_from_trigger and end_from_trigger are for waits in the triggerer: set deferrable")
        self.deferrable = deferrable
        self._wants_trigger_start = start_from_trigger
        self._wants_trigger_end = end_from_trigger
        self.min_poke_interval = min_poke_interval
        self.max_consecutive_failures = max_consecutive_failures
        self.gate = Gate()

    # What a vendor's sensor sets ----------------------------------------------------------------------------

    @property
    def gate(self) -> Gate:
        """
        The gate that decides whether the import passes. Default: the import must have succeeded.

        A vendor's sensor sets one that is made of its arguments. Only a :class:`.Gate` can be set, because a trigger
        makes it again from its arguments.
        """
        return self._gate

    @gate.setter
    def gate(self, gate: Gate) -> None:
        if not isinstance(gate, Gate):
            raise TypeError(f"gate must be a Gate, not {type(gate).__name__}")
        self._gate = gate

    def import_url(self) -> str | None:
        """Return the vendor's page of the import, or None if none is known."""
        try:
            hook = self._hook_that_polled or self.get_hook()
            return hook.import_url(self._deferred_import or self.get_import())
        except Exception as error:
            # Airflow calls this after each task, and Airflow 3.0 skips everything that follows if it raises.
            self.log.debug("No page of the import is known: %s", error)
            return None

    # What Airflow calls -------------------------------------------------------------------------------------

    def poke(self, context: Context) -> PokeReturnValue:
        """
        Poll once, and return whether the import passes.

        :param context: The context of the execution.
        :raises ImportFailedError: if the import does not pass.
        :raises ImportProgressError: if its state is unknown.
        """
        import_ = self.get_import()
        progress = self.get_hook().get_progress(import_)
        verdict = self.gate.judge(progress)
        if verdict.decision in (Decision.FAIL, Decision.FAIL_FOR_ACTION):
            raise import_failed_error(import_, import_.describe(self._conn_id), verdict)
        return PokeReturnValue(verdict.decision is Decision.PASS, progress.to_dict())

    def execute(self, context: Context) -> dict[str, Any]:
        """
        Wait, or defer the wait to the triggerer.

        :param context: The context of the execution.
        :return: The last progress as a dict.
        """
        with skipping(soft_fail=self.soft_fail, never_fail=self.never_fail):
            return self._wait(context)

    def execute_complete(
        self,
        context: Context,
        event: Any = None,
        import_fields: Mapping[str, Any] | None = None,
        conn_id: str | None = None,
    ) -> dict[str, Any]:
        """
        End the wait on a worker with the event of the trigger.

        The gate judges once more: only a progress that passes ends in success, even if the event was damaged.

        :param context: The context of the execution.
        :param event: The trigger's event.
        :param import_fields: The arguments of the import that was waited for, because those of the sensor may render
            to other values now. None: those of the sensor, for a wait that no worker has started.
        :param conn_id: The connection that the worker deferred with. None: that of the sensor.
        :return: The last progress as a dict.
        """
        if import_fields is not None:
            self._deferred_import = self.import_class(**import_fields)
        if conn_id is not None:
            setattr(self, self.hook_class.conn_name_attr, conn_id)
        if (reason := reason_not_started(event)) is not None:
            self.log.info("The triggerer could not begin the wait (%s). It begins here.", reason)
            return self._wait(context)
        try:
            progress = progress_or_raise(event, self._subject)
            import_ = self._deferred_import or self.get_import()
            if progress.import_id != import_.import_id:
                raise ValueError(f"it is about the import {progress.import_id!r}")  # noqa: TRY301
            verdict = self.gate.judge(progress)
            if verdict.decision is not Decision.PASS:
                raise ValueError(f"its progress does not pass: {progress}")  # noqa: TRY301
        except (KeyError, TypeError, ValueError) as error:
            raise ImportProtocolError(
                f"{self._subject}: the event of the triggerer cannot be taken for success "
                f"({type(error).__name__}: {error}). Clear this task to wait again."
            ) from None
        return progress.to_dict()

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """
        Resume after the trigger fired, or after Airflow gave the deferral up.

        :param next_method: The method to call.
        :param next_kwargs: Its arguments.
        :param context: The context of the execution.
        """
        # Not by BaseSensorOperator's own method: the exceptions that it turns into a skip differ between versions of
        # Airflow, and from those while poking.
        with skipping(soft_fail=self.soft_fail, never_fail=self.never_fail):
            try:
                return BaseOperator.resume_execution(self, next_method, next_kwargs, context)
            except (TaskDeferralError, TaskDeferralTimeout) as error:
                ended = self._end_without_event(error)
                self._metrics(context).on_end(ended)
                raise ended from error

    def _end_without_event(self, error: Exception) -> Exception:
        if is_deferral_timeout(error):
            return AirflowSensorTimeout(
                f"{self._subject}: not done within the timeout of {self.timeout:.10g} s, and no running "
                f"triggerer reported it. Check that a triggerer runs; clear this task to wait again."
            )
        return ImportPollError(
            f"{self._subject}: the triggerer could not run this wait ({error}). Whether the import "
            f"succeeded is unknown: look at the triggerer's log, and clear this task to wait again."
        )

    # The wait -----------------------------------------------------------------------------------------------

    @property
    def wait_rules(self) -> WaitRules:
        """The rules that the wait keeps to in every mode."""
        return WaitRules(
            poke_interval=self.poke_interval,
            min_poke_interval=self.min_poke_interval,
            exponential_backoff=self.exponential_backoff,
            max_wait=self.max_wait.total_seconds() if self.max_wait is not None else None,
            max_consecutive_failures=self.max_consecutive_failures,
            silent_fail=self.silent_fail,
            gate=self.gate,
        )

    @property
    def _subject(self) -> str:
        if self._deferred_import is not None:
            return self._deferred_import.describe(self._conn_id)
        return f"{self.import_class.label} (connection {self._conn_id!r})"

    def _import_to_wait_for(self, context: Context) -> Import:
        import_ = self.get_import()
        self._check_identifier(self.hook_class.conn_name_attr, self._conn_id)
        ti: Any = context.get("ti")
        if import_.warning_before_start and ti is not None and ti.map_index >= 0:
            # Refuse it, because all mapped tasks would wait for the same last import.
            raise ValueError(
                f"A mapped task must be given the import that it waits for, but {import_.warning_before_start}"
            )
        return import_

    def _wait(self, context: Context) -> dict[str, Any]:
        try:
            import_ = self._import_to_wait_for(context)
        except ValueError as error:
            raise ValueError(f"{self._subject}: {error}") from None
        reschedules = self.reschedule and not self.deferrable
        first_poke = first_poke_at(self, context) if reschedules else None
        self._log_what_takes_a_worker()
        started_at = self._began_at(first_poke)
        wait = Wait(
            import_=import_,
            conn_id=self._conn_id,
            rules=self.wait_rules,
            state=WaitState(started_at=started_at, deadline=started_at + self.timeout),
            log=self.log,
            clock=clock.current.time,
            metrics=self._metrics(context),
        )
        publisher = WorkerPublisher(wait, context.get("ti"), self.hook_class.hook_name)
        if is_first_poke := first_poke is None:
            wait.begin()
        try:
            progress = self._wait_on_worker(wait, publisher, context, reschedules=reschedules, is_first=is_first_poke)
        except (AirflowSensorTimeout, ImportFailedError, ImportProgressError) as error:
            wait.end(error)
            publisher.publish()
            raise
        wait.end()
        publisher.publish()
        return progress.to_dict()

    def _began_at(self, first_poke: datetime | None) -> float:
        return clock.current.time_of(first_poke) if first_poke else clock.current.time()

    def _wait_on_worker(
        self, wait: Wait, publisher: WorkerPublisher, context: Context, *, reschedules: bool, is_first: bool
    ) -> ImportProgress:
        with self.get_hook() as hook:
            self._hook_that_polled = publisher.hook = hook
            hook.connection_cache.is_known = not is_first
            self._store_link(context, hook, wait.import_)
            while True:
                try:
                    progress = hook.get_progress(wait.import_)
                except ImportProgressError as error:
                    gap = wait.on_error(error)
                else:
                    next_gap = wait.on_progress(progress)
                    if next_gap is None:
                        return progress
                    gap = next_gap
                publisher.publish()
                shortest = MIN_DEFERRAL if self.deferrable else MIN_RESCHEDULE_DELAY
                seconds_away = max(gap, shortest)
                # Too close to the deadline, the wait stays on this worker: it could not resume in time.
                if clock.current.time() + shortest <= wait.state.deadline:
                    if self.deferrable:
                        self._defer(wait, seconds_away)
                    # After a failure the worker stays, because Airflow keeps nothing between two pokes in reschedule
                    # mode, so that failures in a row could not be counted. With silent_fail they are not counted.
                    if reschedules and (self.silent_fail or not wait.state.failures):
                        raise AirflowRescheduleException(clock.current.reschedule_date(seconds_away))
                clock.current.sleep(gap)

    def _store_link(self, context: Context, hook: ImportProgressHook, import_: Import) -> None:
        try:
            store_link(context, ImportLink.xcom_key, lambda: hook.import_url(import_))
        except Exception as error:
            # A broken link never fails a wait.
            self.log.info("The link of the task's button could not be stored (%s: %s).", type(error).__name__, error)

    def _defer(self, wait: Wait, seconds: float) -> None:
        from airflow_import_progress.triggers.import_progress import ImportProgressTrigger

        now = clock.current.time()
        self.log.info(
            "%s: the wait continues in the triggerer, until %s at the latest.",
            wait.subject,
            datetime.fromtimestamp(wait.state.deadline, UTC).strftime("%Y-%m-%d %H:%M:%S UTC"),
        )
        wait.state.next_poll_at = now + seconds
        identity: dict[str, Any] = {"import_fields": wait.import_.to_dict(), "conn_id": self._conn_id}
        self.defer(
            trigger=ImportProgressTrigger(**self._trigger_arguments(), **identity, state=wait.state.to_dict()),
            method_name="execute_complete",
            kwargs=identity,
            timeout=self._deferral_timeout(wait.state.deadline - now),
        )

    def _trigger_arguments(self) -> dict[str, Any]:
        return {
            "import_class": class_path(self.import_class),
            "hook_class": class_path(self.hook_class),
            "rules": self.wait_rules.to_dict(),
            "end_from_trigger": self._ends_in_triggerer(),
            "do_xcom_push": self.do_xcom_push,
        }
