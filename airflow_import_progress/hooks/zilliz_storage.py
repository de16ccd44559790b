# SPDX-License-Identifier: Apache-2.0
"""The credentials of the object storage from which Zilliz Cloud reads the files of an import."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from airflow_import_progress.vendor import (
    ConnectionCache,
    ImportProgressError,
    ImportRequestError,
    Response,
    VendorConnection,
    excerpt,
    read_text,
)

if TYPE_CHECKING:
    from airflow_import_progress.vendor import Connection, ImportProgressHook

#: The extra with the token of short-term credentials, as in Airflow's connections to AWS.
TOKEN_EXTRA = "aws_session_token"  # noqa: S105
#: How long a poll waits for the look-up of a storage's connection, in seconds.
LEARN_TIMEOUT = 10.0
#: Access keys of AWS, Google Cloud, Alibaba Cloud and Tencent Cloud.
ACCESS_KEY = re.compile(
    rb"(?<![A-Za-z0-9])(?:A[KS]IA[A-Z0-9]{16}|GOOG[A-Z0-9]{20,}|LTAI[A-Za-z0-9]{12,}|AKID[A-Za-z0-9]{13,})"
)


@dataclass(frozen=True)
class StorageCredentials:
    """
    Hold the credentials of an object storage. They are sent to the vendor, and are neither stored nor shown.

    :param access_key: The access key.
    :param secret_key: The secret key.
    :param token: The token of short-term credentials, or an empty string.
    """

    access_key: str = field(repr=False)
    secret_key: str = field(repr=False)
    token: str = field(default="", repr=False)

    def fields(self) -> dict[str, str]:
        """Return the fields of a request's body. v1 and v2 use the same names, and only v2 accepts a token."""
        fields = {"accessKey": self.access_key, "secretKey": self.secret_key, "token": self.token}
        return {name: value for name, value in fields.items() if value}

    @property
    def secrets(self) -> frozenset[str]:
        """The texts that must not be shown."""
        values = (self.access_key, self.secret_key, self.token)
        return frozenset(
            secret for value in values for secret in VendorConnection(conn_id="", base_url="", password=value).secrets
        )


class StorageConnections:
    """
    Look up the credentials of object storages for a hook, and keep them out of the vendor's texts.

    The vendor reads the storage with them, so an error of the storage that it passes on may repeat them.

    :param hook: The hook.
    """

    def __init__(self, hook: ImportProgressHook) -> None:
        self._hook = hook
        self._caches: dict[str, ConnectionCache] = {}
        #: The secrets of each connection, also those from before a change; None: it could not be read.
        self._secrets: dict[str, frozenset[str] | None] = {}

    def get(self, conn_id: str) -> StorageCredentials:
        """
        Return the credentials in an Airflow connection.

        :param conn_id: The connection.
        :raises ImportRequestError: if it does not exist or cannot be used.
        :raises ImportPollError: if it could not be looked up.
        """
        with _before_sending(conn_id):
            return self._learned(conn_id, self._cache(conn_id).get())

    async def aget(self, conn_id: str) -> StorageCredentials:
        """
        Return the credentials in an Airflow connection without blocking the event loop, as :meth:`get`.

        :param conn_id: The connection.
        """
        with _before_sending(conn_id):
            return self._learned(conn_id, await self._cache(conn_id).aget())

    def learn(self, conn_id: str | None) -> None:
        """
        Look up the secrets of a job that was started with a connection. An error hides the vendor's texts.

        :param conn_id: The connection; None: the job was started without one.
        """
        if conn_id is not None:
            with suppress(ImportProgressError):
                self.get(conn_id)

    async def alearn(self, conn_id: str | None) -> None:
        """
        Look up the secrets of a job without blocking the event loop, as :meth:`learn`.

        :param conn_id: The connection; None: the job was started without one.
        """
        if conn_id is not None:
            # Not for long, because the look-up only serves the texts: the wait must go on.
            with suppress(ImportProgressError, TimeoutError):
                async with asyncio.timeout(LEARN_TIMEOUT):
                    await self.aget(conn_id)

    def redact(self, response: Response) -> Response:
        """
        Return a response with the credentials as texts that must not appear in an excerpt.

        A wait may not know with which connection its job was started, so all that look like an access key are, too.

        :param response: The response.
        """
        secrets = {key.decode() for key in ACCESS_KEY.findall(response.body)}
        for conn_id, known in self._secrets.items():
            if known is None:
                return response.without_texts(f"the storage's connection {excerpt(conn_id)!r} could not be looked up")
            secrets |= known
        # Longer ones first, because they may contain shorter ones.
        for secret in sorted(secrets, key=len, reverse=True):
            response = response.with_secret(secret)
        return response

    def _learned(self, conn_id: str, connection: VendorConnection) -> StorageCredentials:
        credentials = _credentials(connection)
        self._secrets[conn_id] = credentials.secrets | (self._secrets[conn_id] or frozenset())
        return credentials

    def _cache(self, conn_id: str) -> ConnectionCache:
        if conn_id not in self._caches:
            self._secrets[conn_id] = None
            self._caches[conn_id] = ConnectionCache(
                self._hook,
                conn_id,
                _read,
                "Airflow does not find this connection. Create one with the access key as login and the secret key as "
                "password, or give the right storage_conn_id. If there is one, its secrets backend did not answer.",
            )
        return self._caches[conn_id]


def _read(connection: Connection, extra: Any) -> VendorConnection:
    return VendorConnection(
        conn_id="",
        base_url="",
        login=read_text("login", connection.login),
        password=read_text("password", connection.password),
        extra=extra if isinstance(extra, dict) else {},
    )


def _credentials(connection: VendorConnection) -> StorageCredentials:
    for name, value, content in (
        ("login", connection.login, "access key"),
        ("password", connection.password, "secret key"),
    ):
        if not value:
            raise ImportRequestError(f"The connection has no {name}. Enter the {content} of the object storage there.")
    token = read_text(f"extra {TOKEN_EXTRA!r}", connection.extra.get(TOKEN_EXTRA))
    return StorageCredentials(connection.login, connection.password, token)


@contextmanager
def _before_sending(storage_conn_id: str) -> Iterator[None]:
    try:
        yield
    except ImportProgressError as error:
        error.not_sent = True
        subject = f"Object storage (connection {excerpt(storage_conn_id)!r})"
        raise error.reworded(f"{subject}: {error} No import was started.") from None
