# SPDX-License-Identifier: Apache-2.0
"""Import into Rocket.Chat."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from airflow_import_progress.hooks.rocketchat import RocketChatHook
from airflow_import_progress.hooks.rocketchat_import import RocketChatUserImport
from airflow_import_progress.hooks.rocketchat_operation import (
    FILE_LOADED,
    NEW,
    Operation,
    Reported,
    read_operation,
)
from airflow_import_progress.hooks.rocketchat_start import (
    API_KEY,
    batches,
    check_staged,
    checked_users,
    cleared,
    file_download,
    file_name_of,
    file_preparation,
    file_upload,
    more_users,
    new_operation,
    pending_files_import,
    prepared_start,
    staged_run,
    unique_name,
)
from airflow_import_progress.operators.rocketchat_base import RocketChatImportOperator
from airflow_import_progress.vendor import (
    Conversation,
    ImportFailedError,
    ImportFile,
    ImportNotFoundError,
    ImportPollError,
    ImportProgressError,
    ImportProgressHook,
    ImportRequestError,
    PreparedStart,
    as_address,
    excerpt,
)

if TYPE_CHECKING:
    from airflow_import_progress.hooks.rocketchat_start import PendingKind, Selection
    from airflow_import_progress.vendor import Import, ImportFileSource, StartRecord, XComArg


class RocketChatFileImportOperator(RocketChatImportOperator):
    """
    Import a file into Rocket.Chat once, and wait until the import has really succeeded.

    The operator uploads the file, has it prepared, selects the records and starts the import.

    See :class:`~airflow_import_progress.operators.base.BaseImportOperator` for the promise to start an import only
    once, and for the arguments that all operators share. ``wait_for_completion=False`` is not possible, because the
    operator has to start the import after its file is prepared.

    :param file: The file: a path, an address such as ``"s3://aws_default@bucket/key"``, or bytes (templated).
    :param file_url: The address of the file, in place of ``file``, from which Rocket.Chat itself downloads it
        (templated).
    :param importer_key: The importer that it is for: ``"csv"``, ``"slack"``, ``"slack-users"`` or another one of the
        server's (templated).
    :param users: The users to import: ``"all"`` (the default), or their ids in the file (templated).
    :param channels: The channels to import: ``"all"`` (the default), or their ids in the file (templated).
    :param contacts: The contacts to import: ``"all"`` (the default), or their ids in the file (templated).
    :param kwargs: ``rocketchat_conn_id`` (templated), ``max_failed_records``, ``min_success_rate`` and ``min_records``
        as of :class:`~airflow_import_progress.operators.rocketchat_base.RocketChatImportOperator`, and the arguments
        that all operators share.
    :raises ValueError: if an argument is not valid; the message names it.
    """

    template_fields: Sequence[str] = (
        "file",
        "file_url",
        "importer_key",
        "users",
        "channels",
        "contacts",
        "rocketchat_conn_id",
    )
    _steps_after_start = "the import is started only after Rocket.Chat has prepared its file"

    def __init__(
        self,
        *,
        file: ImportFileSource | XComArg | None = None,
        file_url: str | XComArg | None = None,
        importer_key: str | XComArg,
        users: Selection | XComArg = "all",
        channels: Selection | XComArg = "all",
        contacts: Selection | XComArg = "all",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if (file is None) == (file_url is None):
            raise ValueError("give either file or file_url")
        self.file = file
        self.file_url = file_url
        self.importer_key = importer_key
        self.users = users
        self.channels = channels
        self.contacts = contacts
        # Whether a result of another task was given: one that is missing is None later on.
        self._downloads = file_url is not None

    def prepare(self, hook: ImportProgressHook) -> PreparedStart:
        """
        Check the arguments and the file.

        :raises ImportFileError: if the file cannot be imported.
        :raises ValueError: if an argument is not valid.
        """
        rocketchat = cast("RocketChatHook", hook)
        self._selections()
        if self._downloads:
            url = cast("str", self.file_url)
            address = as_address(url)
            # Checked here and not noted, because it may contain a part of a signature.
            file_name_of(url)
            return PreparedStart(
                description=f"the file at {address}",
                digest=hashlib.sha256(str(address).encode()).hexdigest(),
                send=lambda: self._send(
                    rocketchat, lambda before: file_download(url, self.importer_key, before=before)
                ),
            )
        source = cast("ImportFileSource", self.file)
        file = ImportFile(source)
        name = unique_name(file)
        return PreparedStart(
            description=str(file),
            digest=file.digest(),
            send=lambda: self._send(
                rocketchat,
                lambda before: file_upload(source, self.importer_key, name=name, before=before),
                # In base64.
                body_bytes=file.size * 4 // 3,
            ),
            notes={"file_name": name},
        )

    def continue_import(self, hook: ImportProgressHook, import_: Import, record: StartRecord) -> bool:
        """Have the file prepared, or start the import of the records that were selected."""
        rocketchat = cast("RocketChatHook", hook)
        operation = self._waiting(rocketchat, import_)
        if operation is not None and operation.status == FILE_LOADED:
            operation = self._prepared(rocketchat, import_)
        # Otherwise it does not wait any more, and the next poll reports its state.
        if operation is not None and operation.can_be_run:
            self._run_once(rocketchat, record, prepared_start(self._selections()))
        return True

    def _prepared(self, rocketchat: RocketChatHook, import_: Import) -> Operation | None:
        """Have the file prepared, and return the operation if it waits for the selection then."""
        problem = "Rocket.Chat did not prepare the file."
        try:
            rocketchat.run(file_preparation())
        except ImportRequestError as error:
            if error.status == 400:
                raise ImportFailedError(f"{error} No record was imported. Check the file.") from None
            raise
        except ImportProgressError as error:
            # A long preparation outlasts the request, and goes on.
            problem = str(error)
        operation = self._waiting(rocketchat, import_)
        if operation is not None and operation.status == FILE_LOADED:
            raise ImportPollError(problem, transient=True)
        return operation

    def _selections(self) -> dict[str, Selection]:
        return {name: _checked_selection(name, getattr(self, name)) for name in ("users", "channels", "contacts")}

    def _file_name(self, record: StartRecord) -> str | None:
        return file_name_of(cast("str", self.file_url)) if self._downloads else super()._file_name(record)

    def _send(
        self, rocketchat: RocketChatHook, conversation: Callable[[Reported], Conversation[str]], body_bytes: int = 0
    ) -> Import:
        return self._import(rocketchat.start_import(conversation(self._begin(rocketchat, body_bytes))))


class RocketChatUserImportOperator(RocketChatImportOperator):
    """
    Import users into Rocket.Chat once, and wait until the import has really succeeded.

    It needs Rocket.Chat 6.3 or later. Users that exist are skipped.

    See :class:`~airflow_import_progress.operators.base.BaseImportOperator` for the promise to start an import only
    once, and for the arguments that all operators share. ``wait_for_completion=False`` is not possible, because the
    operator adds the users after it has created the import.

    :param users: The users, as ``import.addUsers`` takes them: dicts with the lists ``importIds`` and ``emails``, and,
        if wanted, ``username``, ``name``, ``roles`` and others (templated).
    :param kwargs: ``rocketchat_conn_id`` (templated), ``max_failed_records``, ``min_success_rate`` and ``min_records``
        as of :class:`~airflow_import_progress.operators.rocketchat_base.RocketChatImportOperator`, and the arguments
        that all operators share.
    :raises ValueError: if an argument is not valid; the message names it.
    """

    template_fields: Sequence[str] = ("users", "rocketchat_conn_id")
    import_class = RocketChatUserImport
    importer_key = API_KEY
    _steps_after_start = "the users are added only after the import was created"

    def __init__(self, *, users: Sequence[Mapping[str, Any]] | XComArg, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.users = users

    def prepare(self, hook: ImportProgressHook) -> PreparedStart:
        """
        Check the users.

        :raises ValueError: if one of them lacks what Rocket.Chat requires.
        """
        rocketchat = cast("RocketChatHook", hook)
        users = checked_users(self.users)
        return PreparedStart(
            description=f"{len(users):,} users",
            digest=_digest(users),
            send=lambda: self._import(rocketchat.start_import(new_operation(before=self._begin(rocketchat)))),
        )

    def find_import(self, hook: ImportProgressHook, record: StartRecord) -> Import | None:
        """
        Return the current operation of the workspace if it is the one that was created.

        :raises ImportNotFoundError: if it is another one. An operation without users imports nothing.
        """
        rocketchat = cast("RocketChatHook", hook)
        found = super().find_import(hook, record)
        if record.notes.get("run_sent_at") is not None:
            return found
        operation = None if found is None else self._waiting(rocketchat, found)
        if found is None or operation is None or operation.status != NEW:
            raise ImportNotFoundError
        return found

    def continue_import(self, hook: ImportProgressHook, import_: Import, record: StartRecord) -> bool:
        """Add the users that have not been added, and run the import."""
        rocketchat = cast("RocketChatHook", hook)
        operation = self._waiting(rocketchat, import_)
        if operation is None:
            return True
        if record.notes.get("run_sent_at") is None:
            self._add_users(rocketchat, operation, record)
        self._run_once(rocketchat, record, staged_run())
        return True

    def _add_users(self, rocketchat: RocketChatHook, operation: Operation, record: StartRecord) -> None:
        users, staged = checked_users(self.users), operation.staged_users
        if staged and _digest(users) != record.digest:
            reason = f"the users have changed since the first {staged:,} of them were added, so none was imported."
            raise self._cleared(rocketchat, operation, f"{self._subject}: {reason}")
        try:
            for batch in batches(users[staged:]):
                # Repeat it as often as the rate limit is exceeded: that is not a failure.
                self._patiently(partial(self._add_batch, rocketchat, batch), lambda error: error.rate_limited)
            check_staged(rocketchat.run(read_operation()).operation, operation.operation_id, len(users))
        except ImportFailedError as error:
            raise self._cleared(rocketchat, operation, f"{self._subject}: {error}") from None
        except ImportRequestError as error:
            if error.status != 400:
                raise
            raise self._cleared(rocketchat, operation, f"{error} No user was imported.") from None

    def _add_batch(self, rocketchat: RocketChatHook, users: Sequence[Mapping[str, Any]]) -> None:
        rocketchat.run(more_users(users))

    def _cleared(self, rocketchat: RocketChatHook, operation: Operation, reason: str) -> ImportFailedError:
        """Delete the users that were added, so that another import can be started, and return the error."""
        try:
            if self._waiting(rocketchat, self._import(operation.operation_id)) is not None:
                rocketchat.run(cleared())
        except ImportProgressError as error:
            self.log.warning(
                "The users that were added could not be deleted from Rocket.Chat, which holds the next import up until "
                "somebody deletes them with import.clear of its API: %s",
                error,
            )
        return ImportFailedError(f"{reason} Clear this task to start another import.")


class RocketChatPendingFilesImportOperator(RocketChatImportOperator):
    """
    Have Rocket.Chat download, once, the files to which its earlier imports only refer, and wait until it has.

    See :class:`~airflow_import_progress.operators.base.BaseImportOperator` for the promise to start an import only
    once, and for the arguments that all operators share. If no file is pending, the import succeeds at once.

    :param kind: ``"files"`` of messages, or ``"avatars"`` of users.
    :param kwargs: ``rocketchat_conn_id`` (templated), ``max_failed_records``, ``min_success_rate`` and ``min_records``
        as of :class:`~airflow_import_progress.operators.rocketchat_base.RocketChatImportOperator`, and the arguments
        that all operators share.
    :raises ValueError: if an argument is not valid; the message names it.
    """

    template_fields: Sequence[str] = ("rocketchat_conn_id",)

    def __init__(self, *, kind: PendingKind, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if kind not in ("files", "avatars"):
            raise ValueError(f"kind must be 'files' or 'avatars', not {kind!r}")
        self.kind = kind
        self.importer_key = f"pending-{kind}"

    def prepare(self, hook: ImportProgressHook) -> PreparedStart:
        """Return the prepared start, which uploads no file."""
        rocketchat = cast("RocketChatHook", hook)
        return PreparedStart(
            description=f"the pending {self.kind}",
            digest="",
            send=lambda: self._import(
                rocketchat.start_import(pending_files_import(self.kind, before=self._begin(rocketchat)))
            ),
        )


def _digest(users: Sequence[Mapping[str, Any]]) -> str:
    try:
        return hashlib.sha256(json.dumps(users, sort_keys=True).encode()).hexdigest()
    except (TypeError, ValueError) as error:
        raise ValueError(f"users must consist of JSON values ({error})") from None


def _checked_selection(name: str, value: Any) -> Selection:
    if value == "all":
        return "all"
    if isinstance(value, list | tuple) and all(isinstance(one, str) and one for one in value):
        return list(value)
    raise ValueError(f"{name} must be 'all' or a list of ids, not {excerpt(repr(value), 80)}")
