# SPDX-License-Identifier: Apache-2.0
"""The base of the operators: one start for each task instance, and the wait of the sensors."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from airflow_import_progress import clock
from airflow_import_progress.compat import first_poke_at, has_task_state_store
from airflow_import_progress.exceptions import (
    ImportActionRequiredError,
    ImportFailedError,
    ImportFileError,
    ImportPollError,
    ImportProgressError,
    ImportStartRefusedError,
    ImportStartUnknownError,
)
from airflow_import_progress.hooks.base import ImportProgressHook
from airflow_import_progress.hooks.errors import nothing_sent
from airflow_import_progress.imports import Import
from airflow_import_progress.sensors.arguments import NOT_GIVEN, is_resolved_later
from airflow_import_progress.sensors.base import BaseImportSensor
from airflow_import_progress.sensors.skipping import skipping
from airflow_import_progress.starting.prepared import ImportNotFoundError, PreparedStart
from airflow_import_progress.starting.record import NextStep, StartRecord, StartState, next_step
from airflow_import_progress.starting.store import StartStore, start_store, with_forgetting

if TYPE_CHECKING:
    from airflow_import_progress.compat import Context


T = TypeVar("T")


class BaseImportOperator(BaseImportSensor):
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
    _start_store: StartStore
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
        taken twice is announced with :meth:`note`, and ``record`` has the notes of earlier steps.
        """
        return False

    def note(self, **notes: Any) -> None:
        """
        Add notes to the record of the start, before the request that they announce is sent.

        :param notes: Plain JSON values without any secret.
        :raises RuntimeError: if they cannot be stored. Nothing may be sent then.
        """
        if (record := self._start_store.load()) is None:
            raise RuntimeError(f"The record of the start, {self._start_store.place}, is missing. Nothing was sent.")
        self._start_store.save(replace(record, notes={**record.notes, **notes}))

    # What Airflow calls -------------------------------------------------------------------------------------

    def execute(self, context: Context) -> Any:
        """Start the import if that has not been done, and wait for it, or defer the wait to the triggerer."""
        with skipping(soft_fail=self.soft_fail, never_fail=self.never_fail):
            store = self._start_store = start_store(context)
            with self.get_hook() as hook:
                import_ = self._started_import(store, hook, context)
            self._set_import(import_)
            if not self.wait_for_completion:
                self._set_ended(store, context)
                return import_.import_id
            with self._ending(store, context):
                return self._wait_and_continue(lambda: self._wait(context), store, context)

    def execute_complete(
        self,
        context: Context,
        event: Any = None,
        import_fields: Mapping[str, Any] | None = None,
        conn_id: str | None = None,
    ) -> dict[str, Any]:
        """End the wait on a worker with the event of the trigger."""
        store = self._start_store = start_store(context)
        if import_fields is None and (record := store.load()) is not None:
            # dag.test() resumes without the arguments of the deferral.
            import_fields = record.import_fields
        if import_fields is not None:
            self._set_import(self.import_class(**import_fields))
        complete = super().execute_complete
        with self._ending(store, context):
            return self._wait_and_continue(lambda: complete(context, event, import_fields, conn_id), store, context)

    def on_kill(self) -> None:
        """Log that the import continues at the vendor."""
        if self._deferred_import is not None:
            self.log.warning("%s: this task was stopped. The import continues at the vendor.", self._subject)

    # The start ----------------------------------------------------------------------------------------------

    def _started_import(self, store: StartStore, hook: ImportProgressHook, context: Context) -> Import:
        record, max_tries = store.load(), context["ti"].max_tries
        step = next_step(record, max_tries)
        if record is None or step is NextStep.START:
            return self._start(store, hook, max_tries)
        if step is NextStep.FIND:
            return self._find_or_start(store, hook, record, max_tries)
        if record.state is StartState.ENDED and record.import_fields is None:
            raise ImportFailedError(f"{self._subject}: an earlier try of this task reported that the import failed.")
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
            _clock_time(record.sent_at),
            store.place,
        )
        self._warn_if_changed(hook, record)
        return import_

    def _start(self, store: StartStore, hook: ImportProgressHook, max_tries: int) -> Import:
        """Start the import, and again after errors without any effect at the vendor."""
        start = partial(self._start_once, store, hook, max_tries)
        return self._patiently(start, lambda error: error.not_sent and error.transient)

    def _start_once(self, store: StartStore, hook: ImportProgressHook, max_tries: int) -> Import:
        with nothing_sent():
            prepared = self.prepare(hook)
        record = StartRecord(
            state=StartState.STARTING,
            sent_at=clock.current.time(),
            digest=prepared.digest,
            max_tries=max_tries,
            notes=prepared.notes,
        )
        self._save_intent(store, record)
        try:
            # Any other error leaves the record as it is: the next try searches for the import.
            import_ = prepared.send()
        except ImportStartUnknownError as error:
            self._lost_at = clock.current.time()
            return self._find_or_raise(store, hook, store.load() or record, max_tries, str(error))
        except ImportFailedError:
            self._save(store, store.load_or(record).reported(StartState.ENDED, max_tries))
            raise
        except (ImportFileError, ImportStartRefusedError):
            store.remove()
            raise
        except ImportProgressError as error:
            if error.not_sent:
                store.remove()
            raise
        # Loaded again, because a vendor's module may have added notes.
        self._save(store, store.load_or(record).started(import_.to_dict()))
        self.log.info("%s was started with %s.", import_.describe(self._conn_id), prepared.description)
        return import_

    def _find_or_start(
        self, store: StartStore, hook: ImportProgressHook, record: StartRecord, max_tries: int
    ) -> Import:
        self.log.warning(
            "%s: an earlier try of this task ended at %s or later, while it started the import.",
            self._subject,
            _clock_time(record.sent_at),
        )
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
            store.remove()
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
            raise error.reworded(f"{error} It is unknown whether the import was started.") from None
        if found is None:
            raise self._unknown(store, record, max_tries, reason)
        self._save(store, record.started(found.to_dict()))
        self.log.info("%s was found at the vendor: it is the one that was started.", found.describe(self._conn_id))
        return found

    def _patiently(self, send: Callable[[], T], may_be_repeated: Callable[[ImportProgressError], bool]) -> T:
        """Call a function again after errors that allow it, with the gaps and the limit of failed polls."""
        schedule, give_up_at = self.wait_rules.schedule, clock.current.time() + self.timeout
        for failures in count(1):
            try:
                return send()
            except ImportProgressError as error:
                gap = schedule.gap_after_failure(failures, error.retry_after)
                is_last = failures >= self.max_consecutive_failures or clock.current.time() + gap > give_up_at
                if is_last or not may_be_repeated(error):
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

    def _unknown(self, store: StartStore, record: StartRecord, max_tries: int, reason: str) -> ImportStartUnknownError:
        error = ImportStartUnknownError(
            f"{self._subject}: it is unknown whether the import was started. {reason} The request was sent at "
            f"{_clock_time(record.sent_at)}. {self.start_advice} Nothing is sent again by itself. If no import was "
            f"started, clear this task: it then starts the import. If one was started, wait for it with a sensor, or "
            f"mark this task as success once it has ended."
        )
        # Logged before it is stored: a person who clears the task then has seen it, even if the worker dies here.
        self.log.error("%s", error)
        self._save(store, record.reported(StartState.UNKNOWN, max_tries))
        return error

    def _warn_if_changed(self, hook: ImportProgressHook, record: StartRecord) -> None:
        try:
            has_changed = self.prepare(hook).digest != record.digest
        except Exception as error:
            self.log.info("It is unknown whether the content has changed since the start: %s", error)
            return
        if has_changed:
            self.log.warning(
                "The content to import has changed since the start. The import with the old content is waited for. To "
                "import the new content, clear this task once it has ended."
            )

    # The wait -----------------------------------------------------------------------------------------------

    def _set_import(self, import_: Import) -> None:
        for name, value in import_.to_dict().items():
            # In an argument, None would be a missing XCom.
            setattr(self, name, NOT_GIVEN if value is None else value)
        self._deferred_import = import_

    def _wait_and_continue(
        self, wait: Callable[[], dict[str, Any]], store: StartStore, context: Context
    ) -> dict[str, Any]:
        while True:
            try:
                return wait()
            except ImportActionRequiredError:
                with self.get_hook() as hook:
                    if not self._patiently(partial(self._continue, hook, store), lambda error: error.transient):
                        raise
                clock.current.sleep(self.min_poke_interval)
                wait = partial(self._wait, context)

    def _continue(self, hook: ImportProgressHook, store: StartStore) -> bool:
        # Loaded each time, because a step adds notes. Without a record it is unknown which steps were taken.
        if (record := store.load()) is None:
            return False
        if record.state is StartState.STARTING:
            # Its first save has failed. With a step, a search would not find the import as it was started.
            record = record.started(self.get_import().to_dict())
            store.save(record)
        return self.continue_import(hook, self.get_import(), record)

    # The end ------------------------------------------------------------------------------------------------

    @contextmanager
    def _ending(self, store: StartStore, context: Context) -> Iterator[None]:
        """Record the end of the import, so that a cleared task starts another one."""
        try:
            yield
        except ImportActionRequiredError:
            raise
        except ImportFailedError:
            self._set_ended(store, context)
            raise
        self._set_ended(store, context)

    def _set_ended(self, store: StartStore, context: Context) -> None:
        try:
            record = store.load()
        except Exception as error:
            # The outcome is certain, and must not be replaced by this error.
            self.log.warning("The record of the start could not be read (%s: %s).", type(error).__name__, error)
            return
        if record is not None:
            if record.import_fields is None and self._deferred_import is not None:
                record = record.started(self._deferred_import.to_dict())
            self._save(store, record.reported(StartState.ENDED, context["ti"].max_tries))

    def _save_intent(self, store: StartStore, record: StartRecord) -> None:
        try:
            store.save(record)
        except Exception:
            # Nothing is sent. What may have been stored would be taken for a start whose answer was lost.
            with suppress(Exception):
                store.remove()
            raise

    def _save(self, store: StartStore, record: StartRecord) -> None:
        try:
            store.save(record)
        except Exception as error:
            # The import has been started, or its outcome is certain: that must not be lost by an error here. The older
            # record stays, with which nothing is started twice.
            self.log.warning("The record of the start could not be stored (%s: %s).", type(error).__name__, error)

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


def _clock_time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
