# SPDX-License-Identifier: Apache-2.0
"""The import operation that a Rocket.Chat workspace reports: its last one, whoever created it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any

from airflow_import_progress.hooks.rocketchat_answers import STATES, is_no_import_ever, read_answer
from airflow_import_progress.vendor import (
    Conversation,
    Request,
    Response,
    as_count,
    as_flag,
    as_moment,
    as_text,
    clock,
)

STATUS_PATH = "/api/v1/import.status"
CURRENT_OPERATION_PATH = "/api/v1/getCurrentImportOperation"
#: An operation may list the content of its file.
MAX_OPERATION_BYTES = 8 * 1024 * 1024

#: The steps at which an operation waits for a client.
NEW = "importer_new"
FILE_LOADED = "importer_file_loaded"
USER_SELECTION = "importer_user_selection"


@dataclass(frozen=True, kw_only=True)
class Operation:
    """
    An import operation.

    :param operation_id: Its ``_id``.
    :param importer_key: The importer that it uses.
    :param status: Its step.
    :param is_valid: Whether it is valid: not replaced, cleared, or interrupted by a restart of the server.
    :param user_id: The ``_id`` of the user who created it; None: it is not reported.
    :param created_at: When it was created, by the server's clock; None: it is not reported.
    :param file_name: The server's name of its file, which ends with the name that the client gave; None: it has none.
    :param staged_users: How many users were added to it.
    :param described: Its importer, id, time and step, for messages.
    """

    operation_id: str
    importer_key: str | None
    status: str
    is_valid: bool
    user_id: str | None
    created_at: datetime | None
    file_name: str | None
    staged_users: int
    described: str

    @property
    def is_over(self) -> bool:
        """Whether it neither runs nor waits, so that a new operation destroys nothing."""
        return not self.is_valid or (self.status in STATES and STATES[self.status].is_final)

    @property
    def is_waiting(self) -> bool:
        """Whether it waits for a client."""
        return self.is_valid and self.status in (NEW, FILE_LOADED, USER_SELECTION)

    @property
    def can_be_run(self) -> bool:
        """Whether it waits for the request after which its records are imported."""
        return self.is_valid and self.status == USER_SELECTION


@dataclass(frozen=True)
class Reported:
    """
    The answer of a workspace.

    :param operation: Its last operation; None: it has never had one.
    :param clock_ahead: How far the server's clock is ahead of this machine's, in seconds.
    """

    operation: Operation | None
    clock_ahead: float = 0.0

    @property
    def operation_id(self) -> str | None:
        """The ``_id`` of the operation."""
        return self.operation.operation_id if self.operation else None


def request_operation() -> Conversation[Response]:
    """Request the last operation. Servers before 6.3 have no ``import.status`` and need a second request."""
    response = yield Request(method="GET", path=STATUS_PATH, max_answer_bytes=MAX_OPERATION_BYTES)
    if response.status == 404:
        response = yield Request(method="GET", path=CURRENT_OPERATION_PATH, max_answer_bytes=MAX_OPERATION_BYTES)
    return response


def read_operation() -> Conversation[Reported]:
    """Request the last operation, and return it."""
    response = yield from request_operation()
    clock_ahead = _clock_ahead(response)
    if is_no_import_ever(response):
        return Reported(None, clock_ahead)
    answer = read_answer(response)
    operation = answer.get("operation")
    if operation is None and answer.get("state") in (None, "none"):
        return Reported(None, clock_ahead)
    return Reported(parse_operation(operation, response), clock_ahead)


def parse_operation(operation: Any, response: Response) -> Operation:
    """
    Return an operation in an answer.

    :raises ImportProtocolError: if it is not one.
    """
    operation = operation if isinstance(operation, dict) else {}
    operation_id, status = as_text(operation.get("_id")), as_text(operation.get("status"))
    if operation_id is None or status is None:
        raise response.unexpected('an operation with "_id" and "status"', "Rocket.Chat")
    key, user_id, created_at = (
        as_text(operation.get("importerKey")),
        as_text(operation.get("user")),
        as_moment(operation.get("ts")),
    )
    count = operation.get("count")
    return Operation(
        operation_id=operation_id,
        importer_key=key,
        status=status,
        is_valid=as_flag(operation.get("valid")) is not False,
        user_id=user_id,
        created_at=created_at,
        file_name=as_text(operation.get("file")),
        staged_users=(as_count(count.get("users")) if isinstance(count, dict) else None) or 0,
        described=response.name(
            f"the import {operation_id!r} ({key}), which the user {user_id!r} created at {created_at}, at the step "
            f"{status!r}"
        ),
    )


def _clock_ahead(response: Response) -> float:
    try:
        return parsedate_to_datetime(response.headers["date"]).timestamp() - clock.current.time()
    except (KeyError, ValueError, OverflowError):
        return 0.0
