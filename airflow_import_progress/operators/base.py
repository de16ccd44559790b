# SPDX-License-Identifier: Apache-2.0
"""The base of the operators: one start for each task instance, and the wait of the sensors."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_import_progress import clock
from airflow_import_progress.compat import first_poke_at
from airflow_import_progress.compat.stored import has_task_state_store
from airflow_import_progress.exceptions import (
    ImportFailedError,
    ImportFileError,
    ImportPollError,
    ImportProgressError,
    ImportStartRefusedError,
    ImportStartUnknownError,
)
from airflow_import_progress.hooks.base import ImportProgressHook
from airflow_import_progress.hooks.errors import guarding_start, nothing_sent
from airflow_import_progress.imports import Import
from airflow_import_progress.operators.recording import RecordingSensor
from airflow_import_progress.operators.steps import SteppingSensor
from airflow_import_progress.sensors.arguments import NOT_GIVEN, is_resolved_later
from airflow_import_progress.sensors.skipping import skipping
from airflow_import_progress.starting.prepared import ImportNotFoundError, PreparedStart
from airflow_import_progress.starting.record import NextStep, StartRecord, StartState, next_step
from airflow_import_progress.starting.store import StartStore, start_store, with_forgetting
from airflow_import_progress.waiting.metrics import Metrics

if TYPE_CHECKING:
    from airflow_import_progress.compat import Context


class BaseImportOperator(RecordingSensor, SteppingSensor):
    """
    Base of the operators: start an import once, and wait until it has really succeeded.

    A record of the start survives retries, crashes of the worker and clears. It is stored before the request is sent,
    in the task state store of Airflow 3.3 or, before, in an Airflow Variable. So

    * a retry, or a task that was cleared while its import runs, waits for the import that was started;
    * if an answer is lost, the vendor is searched for the import. If it cannot be found out whether one was started,
      the task fails with :class:`.ImportStartUnknownError` and spends no retries. Check at the vendor. Clearing the
      task then starts the import anew;
    * only a task that is cleared after its import has ended starts another import.

    The result, and so the task's XCom, is the last progress as a dict. With ``wait_for_completion=False`` it is the
    import's identifier, which a sensor takes. Killing the task or marking it failed does not stop the import.

    :param wait_for_completion: Whether to wait for the end of the import. Default True. False: a task that is cleared
        starts another import, even while the first one runs.
    :param kwargs: The arguments of :class:`~airflow_import_progress.sensors.base.BaseImportSensor`, except for
        ``start_from_trigger`` and ``end_from_trigger``: a start needs a worker, and so does removing its record.
    :raises ValueError: if an argument is outside its range; the message names it.
    """

    #: Where a person finds out whether an import was started, as a sentence.
    start_advice: ClassVar[str]
    #: The arguments, besides those of the import, that are rendered to text even in native DAGs.
    text_arguments: ClassVar[Sequence[str]] = ()
    _required_class_attributes: ClassVar[Mapping[str, str]] = {
        **RecordingSensor._required_class_attributes,
        "start_advice": "a sentence on where a person finds out whether an import was started",
    }
    _start_metrics: Metrics
    #: When the answer to a start was lost in this try.
    _lost_at = 0.0

    def __init__(self, *, wait_for_completion: bool = True, **kwargs: Any) -> None:
        for name in ("start_from_trigger", "end_from_trigger"):
            if kwargs.pop(name, False):
                raise ValueError(f"{name} is only for sensors, because a start needs a worker")
        super().__init__(**kwargs)
        self.wait_for_completion = wait_for_completion
        if not has_task_state_store():
            # Removed as late as possible: without the record, the retry after a crash would start another import.
            self.on_success_callback = with_forgetting(self.on_success_callback)
            self.on_failure_callback = with_forgetting(self.on_failure_callback)
            self.on_skipped_callback = with_forgetting(self.on_skipped_callback)

    # What a vendor's operator implements --------------------------------------------------------------------

    @abstractmethod
    def prepare(self, hook: ImportProgressHook) -> PreparedStart:
        """
        Check the arguments and the file. Only requests that read may be sent here.

        :raises ImportFileError: if the file cannot be imported.
        """

    def content_digest(self, hook: ImportProgressHook) -> str:
        """
        Return the digest of the content to import, which :meth:`prepare` returns too. Default: calls that.

        A try that waits for the import of an earlier one compares it with the record, only to log a change.
        """
        return self.prepare(hook).digest

    def find_import(self, hook: ImportProgressHook, record: StartRecord) -> Import | None:
        """
        Return the import of a start whose answer was lost, or None if that cannot be found out. Default: None.

        :raises ImportNotFoundError: if certainly no import was started.
        """
        return None

    def continue_import(self, hook: ImportProgressHook, import_: Import, record: StartRecord) -> bool:
        """
        Take the next step of an import that waits for one, and return whether there was one. Default: there is none.

        It is called only if the gate has ``on_action_required="fail"``. It may be called again after a crash or an
        error, so it checks the state of the import at the vendor before it sends anything. A step that must not be
        taken twice is announced with :meth:`~.RecordingSensor.note`, and ``record`` has the notes of earlier steps.
        """
        return False

    # What Airflow calls -------------------------------------------------------------------------------------

    def execute(self, context: Context) -> Any:
        """Start the import if that has not been done, and wait for it, or defer the wait to the triggerer."""
        with skipping(soft_fail=self.soft_fail, never_fail=self.never_fail):
            store, self._start_metrics = start_store(context), self._metrics(context)
            self._start_store, self._waiting_since = store, None
            self._start_publisher = self._make_start_publisher(context)
            with self.get_hook() as hook, self._publishing_errors(self._publish_failure):
                import_ = self._started_import(store, hook, context)
            self._set_import(import_)
            if not self.wait_for_completion:
                self._set_ended(store, context)
                return import_.import_id
            with self._ending(store, context):
                wait = partial(self._wait, context)
                return self._wait_and_step(wait, wait)

    def execute_complete(
        self,
        context: Context,
        event: Any = None,
        import_fields: Mapping[str, Any] | None = None,
        conn_id: str | None = None,
        waiting_since: float | None = None,
    ) -> dict[str, Any]:
        """
        End the wait on a worker with the event of the trigger, or take the next step of the import.

        :param waiting_since: When the wait of this try began, in seconds since the epoch. None: now.
        """
        store = self._start_store = start_store(context)
        self._waiting_since = waiting_since
        self._start_publisher = self._make_start_publisher(context)
        if import_fields is None and (record := store.load()) is not None:
            # dag.test() resumes without the arguments of the deferral.
            import_fields = record.import_fields
        if import_fields is not None:
            self._set_import(self.import_class(**import_fields))
        complete = partial(super().execute_complete, context, event, import_fields, conn_id)
        with self._ending(store, context):
            return self._wait_and_step(complete, partial(self._wait, context))  # type: ignore[no-any-return]

    def on_kill(self) -> None:
        """Log that the import continues at the vendor."""
        if self._deferred_import is not None:
            self.log.warning("%s: this task was stopped. The import continues at the vendor.", self._subject)

    # The start ----------------------------------------------------------------------------------------------

    def _started_import(self, store: StartStore, hook: ImportProgressHook, context: Context) -> Import:
        record, max_tries = store.load(), context["ti"].max_tries
        self._record, step = record, next_step(record, max_tries)
        if record is None or step is NextStep.START:
            return self._start(store, hook, max_tries)
        if step is NextStep.FIND:
            return self._find_or_start(store, hook, record, max_tries)
        if record.state is StartState.ENDED and record.import_fields is None:
            raise ImportFailedError(
                f"{self._subject}: the import has failed, as an earlier try of this task reported: its log has the "
                f"reason. Clear this task to start another import."
            )
        if step is NextStep.REPORT or record.import_fields is None:
            raise self._unknown(store, record, max_tries, "An earlier try of this task reported it already.")
        import_ = self.import_class(**record.import_fields)
        if self.reschedule and not self.deferrable and first_poke_at(self, context) is not None:
            # A later poke of the try that has started the import, or has logged this already.
            return import_
        self.log.info(
            "%s was started at %s by an earlier try of this task. Nothing is sent, and the wait continues. To start "
            "another import instead, delete %s and clear this task.",
            import_.describe(self._conn_id),
            record.sent_at_in_words,
            store.place,
        )
        self._publish_started(hook, import_, record)
        self._warn_if_changed(hook, record)
        return import_

    def _start(self, store: StartStore, hook: ImportProgressHook, max_tries: int) -> Import:
        """Start the import, and again after errors without any effect at the vendor."""
        start = partial(self._start_once, store, hook, max_tries)
        return self._patiently(start, lambda error: error.not_sent and error.transient)

    def _start_once(self, store: StartStore, hook: ImportProgressHook, max_tries: int) -> Import:
        with nothing_sent():
            prepared = self.prepare(hook)
        # That may have taken long, so that Airflow has given this try up and begun another one.
        store.require_unchanged(self._record)
        record = StartRecord(
            state=StartState.STARTING,
            sent_at=clock.current.time(),
            digest=prepared.digest,
            max_tries=max_tries,
            notes=prepared.notes,
            content=str(prepared.description),
        )
        self._save_intent(store, record)
        try:
            # Any other error leaves the record as it is: the next try searches for the import.
            with self._start_metrics.starting(), guarding_start():
                import_ = prepared.send()
        except ImportStartUnknownError as error:
            self._lost_at = clock.current.time()
            return self._find_or_raise(store, hook, self._latest(store, record), max_tries, str(error))
        except ImportFailedError:
            self._save(store, self._latest(store, record).reported(StartState.ENDED, max_tries))
            raise
        except (ImportFileError, ImportStartRefusedError):
            self._forget(store, record)
            raise
        except ImportProgressError as error:
            if error.not_sent:
                self._forget(store, record)
            raise
        # Loaded again, because a vendor's module may have added notes.
        latest = store.load_or(record)
        if latest.sent_at != record.sent_at:
            # It was lost between the last check of the record and the request.
            raise ImportStartUnknownError(
                f"{import_.describe(self._conn_id)} was started, but a later try of this task has started its import "
                f"meanwhile. {self.start_advice} The content may be imported twice: remove what should not be there."
            )
        self._save(store, latest.started(import_.to_dict()))
        self.log.info("%s was started with %s.", import_.describe(self._conn_id), prepared.description)
        self._publish_started(hook, import_, record)
        return import_

    def _find_or_start(
        self, store: StartStore, hook: ImportProgressHook, record: StartRecord, max_tries: int
    ) -> Import:
        self.log.warning(
            "%s: an earlier try of this task ended at %s or later, while it started the import.",
            self._subject,
            record.sent_at_in_words,
        )
        self._publish_starting(record)
        try:
            return self._found(store, hook, record, max_tries, "An earlier try of this task ended while it was sent.")
        except ImportNotFoundError:
            self.log.info("%s: certainly no import was started, so it is started now.", self._subject)
            return self._start(store, hook, max_tries)

    def _find_or_raise(
        self, store: StartStore, hook: ImportProgressHook, record: StartRecord, max_tries: int, reason: str
    ) -> Import:
        try:
            return self._found(store, hook, record, max_tries, reason)
        except ImportNotFoundError:
            self._forget(store, record)
            raise ImportPollError(
                f"{reason} The vendor has certainly not started an import.", transient=True, not_sent=True
            ) from None

    def _found(
        self, store: StartStore, hook: ImportProgressHook, record: StartRecord, max_tries: int, reason: str
    ) -> Import:
        try:
            found = self._patiently(lambda: self.find_import(hook, record), lambda error: error.transient)
        except ImportProgressError as error:
            # The record stays, so that the next try searches again.
            unknown = error.reworded(
                f"{error} It is unknown whether the import was started. The next try searches for it again: if Airflow "
                f"does not retry this task, clear it."
            )
            # Only the request of the search was not sent: this try must not start the import again.
            unknown.not_sent = False
            raise unknown from None
        if found is None:
            self._start_metrics.on_unknown_start()
            raise self._unknown(store, record, max_tries, reason)
        self._save(store, record.started(found.to_dict()))
        self._start_metrics.on_start()
        self.log.info("%s was found at the vendor: it is the one that was started.", found.describe(self._conn_id))
        self._publish_started(hook, found, record)
        return found

    def _unknown(self, store: StartStore, record: StartRecord, max_tries: int, reason: str) -> ImportStartUnknownError:
        error = ImportStartUnknownError(
            f"{self._subject}: it is unknown whether the import was started. {reason} The request was sent at "
            f"{record.sent_at_in_words}. {self.start_advice} Nothing is sent again by itself. If no import was "
            f"started, clear this task: it then starts the import. If one was started, wait for it with a sensor, or "
            f"mark this task as success once it has ended."
        )
        # Logged before it is stored: a person who clears the task then has seen it, even if the worker dies here.
        self.log.error("%s", error)
        self._save(store, record.reported(StartState.UNKNOWN, max_tries))
        return error

    def _warn_if_changed(self, hook: ImportProgressHook, record: StartRecord) -> None:
        try:
            has_changed = self.content_digest(hook) != record.digest
        except Exception as error:
            self.log.info(
                "%s: the wait continues, but it is unknown whether the content to import has changed since the start. "
                "%s",
                self._subject,
                error,
            )
            return
        if has_changed:
            self.log.warning(
                "%s: The content to import has changed since the start. The import with the old content is waited for. "
                "To import the new content, clear this task once it has ended.",
                self._subject,
            )

    # The wait -----------------------------------------------------------------------------------------------

    def _set_import(self, import_: Import) -> None:
        for name, value in import_.to_dict().items():
            # In an argument, None would be a missing XCom.
            setattr(self, name, NOT_GIVEN if value is None else value)
        self._deferred_import = import_

    def _take_step_patiently(self) -> bool:
        with self._publishing_errors(self._publish_failed_step):
            return super()._take_step_patiently()

    def _take_step(self) -> bool:
        store, import_ = self._start_store, self.get_import()
        # Loaded each time, because a step adds notes. Without a record it is unknown which steps were taken.
        if (record := store.load()) is None:
            return False
        if record.state is StartState.STARTING:
            # Its first save has failed. With a step, a search would not find the import as it was started.
            record = record.started(import_.to_dict())
            store.save(record)
        self._record = record
        with self.get_hook() as hook:
            return self.continue_import(hook, import_, record)

    @property
    def _identifying(self) -> tuple[str, ...]:
        return (*super()._identifying, *(name for name in self.template_fields if name in self.text_arguments))

    def _complete(self) -> None:
        # The import is unknown until it is started, so that only the connection can be checked.
        name = self.hook_class.conn_name_attr
        self._given_as_text = frozenset(name for name in self._identifying if isinstance(getattr(self, name), str))
        if not is_resolved_later(self._conn_id):
            self._check_identifier(name, self._conn_id)
        self._is_complete = True
