# SPDX-License-Identifier: Apache-2.0
"""
The conversations that start imports into Rocket.Chat.

A new operation ends the one before it without a warning, and deletes its data. So each start begins with the question
whether the workspace is free.

Source: the server's code, https://github.com/RocketChat/Rocket.Chat.
"""

from __future__ import annotations

import mimetypes
import secrets
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from airflow_import_progress.hooks.rocketchat_answers import read_answer
from airflow_import_progress.hooks.rocketchat_operation import Operation, Reported, parse_operation, read_operation
from airflow_import_progress.vendor import (
    Base64JsonBody,
    Conversation,
    ImportFailedError,
    ImportFile,
    ImportProgressError,
    ImportRequestError,
    Request,
    Response,
    as_address,
    excerpt,
)

if TYPE_CHECKING:
    from typing import TypeAlias

    from airflow_import_progress.vendor import ImportFileSource

    #: Which records of a file are imported: all, or those with these ids in the file.
    Selection: TypeAlias = "Literal['all'] | Sequence[str]"
    PendingKind: TypeAlias = Literal["files", "avatars"]

UPLOAD_PATH = "/api/v1/uploadImportFile"
DOWNLOAD_PATH = "/api/v1/downloadPublicImportFile"
FILE_DATA_PATH = "/api/v1/getImportFileData"
START_PATH = "/api/v1/startImport"
NEW_PATH = "/api/v1/import.new"
ADD_USERS_PATH = "/api/v1/import.addUsers"
RUN_PATH = "/api/v1/import.run"
CLEAR_PATH = "/api/v1/import.clear"
PENDING_PATHS: Mapping[str, str] = {
    "files": "/api/v1/downloadPendingFiles",
    "avatars": "/api/v1/downloadPendingAvatars",
}

#: Users in one request. A server allows ten requests a minute unless its administrator changed that.
USERS_PER_REQUEST = 500
#: getImportFileData lists all users and channels of the file.
MAX_FILE_DATA_BYTES = 64 * 1024 * 1024
#: The beginnings of refusals that Rocket.Chat reports like faults of its own, without an error type.
DATA_REFUSALS = (
    "Users are missing required data",
    "One or more of the users have been assigned invalid roles",
    "The current import operation",
    "Import operation not initialized",
)
#: The key of the importer that import.new uses.
API_KEY = "api"

CLEAR_ADVICE = (
    "Finish it under Administration > Import in Rocket.Chat, or delete it with import.clear of its API (6.3 and later)."
)


# The workspace


def check_free(reported: Reported) -> None:
    """
    Raise unless the workspace is free for a new operation.

    :raises ImportRequestError: if another operation runs, or waits for a client.
    """
    operation = reported.operation
    if operation is None or operation.is_over:
        return
    if operation.is_waiting:
        raise ImportRequestError(
            f"Rocket.Chat holds {operation.described}. It waits for somebody to continue it, and another import would "
            f"delete its data. {CLEAR_ADVICE}"
        )
    raise ImportRequestError(
        f"Rocket.Chat is busy with {operation.described}. Another import would end it. Start this import after its "
        f"end, and give all tasks that import into this workspace a pool with one slot."
    )


def _free(before: Reported | None) -> Conversation[Reported]:
    if before is None:
        before = yield from read_operation()
        check_free(before)
    return before


def _created(before: Reported, importer_key: str, file_name: str | None) -> Conversation[Operation]:
    operation = (yield from read_operation()).operation
    if (
        operation is None
        or operation.operation_id == before.operation_id
        or operation.importer_key != importer_key
        or not has_file(operation, file_name)
    ):
        found = operation.described if operation else "no import"
        raise ImportFailedError(
            f"Rocket.Chat accepted the import, but now reports {found}. That has ended this import. Give all tasks "
            f"that import into this workspace a pool with one slot, and clear this task."
        )
    return operation


def has_file(operation: Operation, file_name: str | None) -> bool:
    """
    Return whether an operation is that of a file.

    :param file_name: The name that the client gave; None: it gave no file.
    """
    return file_name is None or (operation.file_name or "").endswith(f"_{file_name}")


# Files


def unique_name(file: ImportFile) -> str:
    """Return a name under which to upload a file. It occurs only once, so it proves whose operation one is."""
    # A file system accepts names of 255 bytes, and the server puts more in front.
    return f"{secrets.token_hex(8)}-{file.name[-40:]}"


def file_name_of(file_url: str) -> str:
    """
    Return the name that the server gives to a file that it downloads.

    :raises ValueError: if this is not an address of a file.
    """
    if as_address(file_url) is None:
        raise ValueError(
            "file_url must be the http or https address of a file. If it comes from an XCom, check that the upstream "
            "task returned it."
        )
    return file_url.rpartition("/")[2].partition("?")[0]


def file_upload(
    file: ImportFileSource, importer_key: str, *, name: str | None = None, before: Reported | None = None
) -> Conversation[str]:
    """
    Upload a file. The result is the ``_id`` of its operation, which then waits to be prepared.

    :param name: The result of :func:`unique_name`; None: it is made here.
    :param before: The answer of a workspace that is free; None: the workspace is requested and checked.
    """
    name = name or unique_name(ImportFile(file))
    upload = ImportFile(file, name=name)
    before = yield from _free(before)
    content_type = mimetypes.guess_type(name)[0] or "application/octet-stream"
    others = {"contentType": content_type, "fileName": name, "importerKey": importer_key}
    body = Base64JsonBody("binaryContent", upload, others)
    _read_start((yield Request(method="POST", path=UPLOAD_PATH, data=body)))
    return (yield from _created(before, importer_key, name)).operation_id


def file_download(file_url: str, importer_key: str, *, before: Reported | None = None) -> Conversation[str]:
    """Let the server download a file. The result is as that of :func:`file_upload`."""
    name = file_name_of(file_url)
    before = yield from _free(before)
    body = {"fileUrl": file_url, "importerKey": importer_key}
    _read_start((yield Request(method="POST", path=DOWNLOAD_PATH, json=body)))
    return (yield from _created(before, importer_key, name)).operation_id


def file_preparation() -> Conversation[None]:
    """
    Let the server prepare the file that is loaded. The answer may come only when it is prepared.

    Only for an operation at ``importer_file_loaded``: this sets a finished operation back to the selection.
    """
    read_answer((yield Request(method="GET", path=FILE_DATA_PATH, max_answer_bytes=MAX_FILE_DATA_BYTES)))


def prepared_start(selections: Mapping[str, Selection]) -> Conversation[None]:
    """
    Start the import of a file that is prepared.

    Only for an operation at ``importer_user_selection``: Rocket.Chat does not check that, and would import again.

    :param selections: The records to import, by ``users``, ``channels`` and ``contacts``.
    """
    wanted = {
        name: {"all": True, "list": []} if chosen == "all" else {"all": False, "list": list(chosen)}
        for name, chosen in selections.items()
    }
    response = yield Request(method="POST", path=START_PATH, json={"input": wanted})
    if _is_invalid(response):
        # Servers before 7.0 demand lists of all records. They validate a request before they process it.
        data = yield Request(method="GET", path=FILE_DATA_PATH, max_answer_bytes=MAX_FILE_DATA_BYTES)
        body = {"input": _old_selection(read_answer(data), selections)}
        response = yield Request(method="POST", path=START_PATH, json=body)
    _read_start(response)


def _old_selection(data: Mapping[str, Any], selections: Mapping[str, Selection]) -> dict[str, Any]:
    id_names = {"users": "user_id", "channels": "channel_id", "contacts": "id"}
    return {
        name: [
            {**record, "do_import": chosen == "all" or record.get(id_names[name]) in chosen}
            for record in data.get(name) or ()
        ]
        for name, chosen in selections.items()
    }


# Users


def new_operation(*, before: Reported | None = None) -> Conversation[str]:
    """Create an operation for users, which then waits for them. The result is its ``_id``."""
    yield from _free(before)
    response = yield Request(method="POST", path=NEW_PATH)
    return parse_operation(_read_start(response).get("operation"), response).operation_id


def more_users(users: Sequence[Mapping[str, Any]]) -> Conversation[None]:
    """
    Add users to the operation, which then can be run.

    :param users: At most :data:`USERS_PER_REQUEST` users.
    """
    response = yield Request(method="POST", path=ADD_USERS_PATH, json={"users": list(users)})
    if response.status == 400 and (reason := response.error_text()).startswith(DATA_REFUSALS):
        raise ImportRequestError(f"{response.request_line} refused the users: {reason}", status=400)
    _read_start(response)


def check_staged(operation: Operation | None, operation_id: str, users: int) -> None:
    """
    Raise unless an operation has exactly the users that were added.

    :raises ImportFailedError: if it has others, or is another one.
    """
    if operation is None or operation.operation_id != operation_id or not operation.can_be_run:
        found = operation.described if operation else "no import"
        raise ImportFailedError(
            f"Rocket.Chat now reports {found} instead of the import {operation_id!r}, so no user was imported. Give "
            f"all tasks that import into this workspace a pool with one slot, and clear this task."
        )
    if operation.staged_users != users:
        raise ImportFailedError(
            f"Rocket.Chat has {operation.staged_users:,} users for the import {operation_id!r} where {users:,} were "
            f"added, so it was not run, and no user was imported. Another client may have added users to it."
        )


def staged_run() -> Conversation[None]:
    """Run the operation, which imports its users. Only for an operation at ``importer_user_selection``."""
    _read_start((yield Request(method="POST", path=RUN_PATH)))


def cleared() -> Conversation[None]:
    """Delete the data of the operation."""
    read_answer((yield Request(method="POST", path=CLEAR_PATH)))


def user_import(users: Sequence[Mapping[str, Any]]) -> Conversation[str]:
    """Create an operation, add the users and run it. The result is its ``_id``."""
    operation_id = yield from new_operation()
    for batch in batches(users):
        yield from more_users(batch)
    check_staged((yield from read_operation()).operation, operation_id, len(users))
    yield from staged_run()
    return operation_id


def batches(users: Sequence[Mapping[str, Any]]) -> list[Sequence[Mapping[str, Any]]]:
    """Return the users in as many parts as requests are needed."""
    return [users[first : first + USERS_PER_REQUEST] for first in range(0, len(users), USERS_PER_REQUEST)]


def checked_users(users: Any) -> list[Mapping[str, Any]]:
    """
    Return the users of an import, or raise if they cannot be imported.

    :raises ValueError: if they are not a list, or one lacks what Rocket.Chat requires.
    """
    if not isinstance(users, list | tuple) or not users:
        raise ValueError(
            f"users must be a list of at least one user, not {excerpt(repr(users), 80)}. If it comes from an XCom, "
            f"check that the upstream task returned it, and that the DAG has render_template_as_native_obj=True."
        )
    for place, user in enumerate(users):
        for name in ("importIds", "emails"):
            values = user.get(name) if isinstance(user, Mapping) else None
            if not isinstance(values, list | tuple) or not any(values):
                raise ValueError(f"users[{place}] must be a dict whose {name!r} is a list of texts that is not empty")
    return list(users)


# Pending files


def pending_files_import(kind: PendingKind, *, before: Reported | None = None) -> Conversation[str]:
    """
    Let the server download files to which earlier imports only refer. The result is the ``_id`` of the operation.

    :param kind: ``"files"`` of messages, or ``"avatars"`` of users.
    """
    before = yield from _free(before)
    _read_start((yield Request(method="POST", path=PENDING_PATHS[kind], json={})))
    return (yield from _created(before, f"pending-{kind}", None)).operation_id


# Answers


def _is_invalid(response: Response) -> bool:
    answer = response.parsed_or_none()
    return response.status == 400 and isinstance(answer, dict) and answer.get("errorType") == "invalid-params"


def _read_start(response: Response) -> dict[str, Any]:
    try:
        return read_answer(response)
    except ImportProgressError as error:
        # Rocket.Chat counts requests before it processes them.
        error.not_sent = error.not_sent or error.rate_limited
        raise
