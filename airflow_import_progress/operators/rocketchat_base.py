# SPDX-License-Identifier: Apache-2.0
"""The base of Rocket.Chat's operators: which operation is theirs, and the one request that imports records."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, cast

from airflow_import_progress.hooks.rocketchat import RocketChatHook
from airflow_import_progress.hooks.rocketchat_import import RocketChatImport
from airflow_import_progress.hooks.rocketchat_operation import Operation, Reported, read_operation
from airflow_import_progress.hooks.rocketchat_start import check_free, has_file
from airflow_import_progress.vendor import (
    NOT_GIVEN,
    BaseImportOperator,
    Conversation,
    Gate,
    ImportNotFoundError,
    ImportPollError,
    ImportProgressError,
    ImportProgressHook,
    ImportRequestError,
    ImportStartRefusedError,
    ImportStartUnknownError,
    NotGiven,
    clock,
)

if TYPE_CHECKING:
    from airflow_import_progress.vendor import Import, StartRecord

#: How much later than it was, by the server's clock, a start may seem to be, in seconds: its header has whole seconds.
CLOCK_TOLERANCE = 5.0
#: After how many seconds a request that has shown no effect is given up.
EFFECT_TIMEOUT = 60.0


class RocketChatImportOperator(BaseImportOperator):
    """
    Base of Rocket.Chat's operators.

    :param rocketchat_conn_id: The Airflow connection of type ``rocketchat``.
    :param max_failed_records: How many records may have failed, from 0. With servers that do not count errors, the task
        fails. Default None: any number.
    :param min_success_rate: The share of the processed records that must not have failed, in percent: 0, or above 1
        up to 100. Default None: any share.
    :param min_records: How many records must have been imported, from 1. With servers that do not count errors, the
        task fails. Default None: any number.
    :param kwargs: The arguments that all operators share.
    :raises ValueError: if an argument is not valid; the message names it.
    """

    import_class: ClassVar[type[RocketChatImport]] = RocketChatImport
    hook_class = RocketChatHook
    start_advice: ClassVar[str] = "Check Administration > Import in Rocket.Chat, which lists its imports."
    operation_id: str | NotGiven = NOT_GIVEN
    started_after: str | NotGiven = NOT_GIVEN
    importer_key: Any
    #: What must be done after the start, so that the operator cannot end before it is waited for.
    _steps_after_start: ClassVar[str] = ""

    def __init__(
        self,
        *,
        rocketchat_conn_id: str = RocketChatHook.default_conn_name,
        max_failed_records: int | None = None,
        min_success_rate: float | None = None,
        min_records: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if self._steps_after_start and not self.wait_for_completion:
            raise ValueError(f"wait_for_completion=False is not possible, because {self._steps_after_start}")
        self.gate = Gate(
            max_failed_records=max_failed_records,
            min_success_rate=min_success_rate,
            min_records=min_records,
            on_action_required="fail",
        )
        self.rocketchat_conn_id = rocketchat_conn_id

    def find_import(self, hook: ImportProgressHook, record: StartRecord) -> Import | None:
        """
        Return the current operation of the workspace if it is the one that was started.

        :raises ImportNotFoundError: if it is the one that was there before the start.
        """
        rocketchat = cast("RocketChatHook", hook)
        # It is noted before anything is sent.
        if "operation_before" not in record.notes:
            raise ImportNotFoundError
        reported = rocketchat.run(read_operation())
        if reported.operation_id == record.notes["operation_before"]:
            # An earlier try may still send its request, if Airflow has lost it and it has not ended.
            ended_at = self._lost_at or record.notes.get("may_be_sent_until", record.sent_at)
            if clock.current.time() < ended_at + EFFECT_TIMEOUT:
                raise ImportPollError(f"{self._subject}: the workspace reports no new import yet.", transient=True)
            raise ImportNotFoundError
        operation = reported.operation
        if operation is None or not self._is_ours(operation, record, rocketchat.user_id()):
            return None
        return self._import(operation.operation_id)

    def _is_ours(self, operation: Operation, record: StartRecord, user_id: str | None) -> bool:
        sent_at = record.sent_at + record.notes["clock_ahead"] - CLOCK_TOLERANCE
        return (
            operation.importer_key == self.importer_key
            and (user_id is None or operation.user_id == user_id)
            and operation.created_at is not None
            and operation.created_at.timestamp() >= sent_at
            and has_file(operation, self._file_name(record))
        )

    def _file_name(self, record: StartRecord) -> str | None:
        """Return the name of the file of a start, or None if it has none."""
        return record.notes.get("file_name")

    def _import(self, operation_id: str) -> RocketChatImport:
        return self.import_class(operation_id=operation_id, importer_key=self.importer_key)

    def _begin(self, rocketchat: RocketChatHook, body_bytes: int = 0) -> Reported:
        """
        Check that the workspace is free, and note its operation, which a new one is compared with.

        :param body_bytes: The size of the body of the request that follows.
        """
        try:
            before = rocketchat.run(read_operation())
        except ImportRequestError as error:
            raise ImportStartRefusedError(f"{error} No import was started.") from None
        except ImportProgressError as error:
            # Only a request that reads was sent.
            error.not_sent = True
            raise
        try:
            check_free(before)
        except ImportRequestError as error:
            raise ImportStartRefusedError(f"{self._subject}: {error} No import was started.") from None
        self.note(
            operation_before=before.operation_id,
            clock_ahead=before.clock_ahead,
            may_be_sent_until=clock.current.time() + rocketchat.connection_cache.get().max_request_seconds(body_bytes),
        )
        return before

    def _waiting(self, rocketchat: RocketChatHook, import_: Import) -> Operation | None:
        """Return the operation if it waits for the next step."""
        operation = rocketchat.run(read_operation()).operation
        if operation is None or operation.operation_id != import_.import_id or not operation.is_waiting:
            return None
        return operation

    def _run_once(self, rocketchat: RocketChatHook, record: StartRecord, conversation: Conversation[None]) -> None:
        """Send the request after which records are imported, unless it was sent before."""
        # Read again, because another try of the task may have sent it meanwhile.
        if (sent_at := self._start_store.still(record).notes.get("run_sent_at")) is not None:
            self._report_sent(sent_at)
        self.note(run_sent_at=clock.current.time())
        try:
            rocketchat.run(conversation)
        except ImportRequestError as error:
            self.note(run_sent_at=None)
            if error.status == 400:
                raise ImportStartRefusedError(f"{error} No record was imported. {self.start_advice}") from None
            raise
        except ImportProgressError as error:
            if error.not_sent:
                self.note(run_sent_at=None)
                raise
            raise ImportPollError(
                f"{error} It is unknown whether the import was started: its state is read again.", transient=True
            ) from None

    def _report_sent(self, sent_at: float) -> NoReturn:
        if clock.current.time() < sent_at + EFFECT_TIMEOUT:
            raise ImportPollError(
                f"{self._subject}: it was started, but Rocket.Chat still reports that it waits for that.",
                transient=True,
            )
        at = datetime.fromtimestamp(sent_at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
        raise ImportStartUnknownError(
            f"{self._subject}: it is unknown whether its records were imported. It was started at {at}, but "
            f"Rocket.Chat reports that it waits for that: either the request was lost, or somebody opened the page of "
            f"the import after its end, which sets it back. It is not started again by itself. Look for its records "
            f"in Rocket.Chat. If they are there, mark this task as success. If they are not, start the import under "
            f"Administration > Import in Rocket.Chat and clear this task: it then waits for its end."
        )
