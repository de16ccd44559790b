# SPDX-License-Identifier: Apache-2.0
"""The credentials of the object storage from which Zilliz Cloud reads the files of an import."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
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


@dataclass(frozen=True)
class StorageCredentials:
    """
    Hold the credentials of an object storage. They are sent to the vendor and go nowhere else.

    :param access_key: The access key.
    :param secret_key: The secret key.
    :param token: The token of short-term credentials, or an empty string.
    """

    access_key: str = field(repr=False)
    secret_key: str = field(repr=False)
    token: str = field(default="", repr=False)

    def fields(self) -> dict[str, str]:
        """Return the fields of a request's body. Their names are the same in v1 and v2, but v1 has no token."""
        fields = {"accessKey": self.access_key, "secretKey": self.secret_key, "token": self.token}
        return {name: value for name, value in fields.items() if value}

    def redact(self, response: Response) -> Response:
        """
        Return a response with the credentials as texts that must not appear in an excerpt.

        :param response: The response to a request with them.
        """
        for value in (self.access_key, self.secret_key, self.token):
            for secret in VendorConnection(conn_id="", base_url="", password=value).secrets:
                response = response.with_secret(secret)
        return response


def read_storage(hook: ImportProgressHook, storage_conn_id: str) -> StorageCredentials:
    """
    Return the credentials in an Airflow connection.

    :param hook: The hook that looks it up.
    :param storage_conn_id: The connection.
    :raises ImportRequestError: if it does not exist or cannot be used.
    :raises ImportPollError: if it could not be looked up.
    """
    with _before_sending(storage_conn_id):
        return _credentials(_cache(hook, storage_conn_id).get())


async def aread_storage(hook: ImportProgressHook, storage_conn_id: str) -> StorageCredentials:
    """
    Return the credentials in an Airflow connection without blocking the event loop, as :func:`read_storage`.

    :param hook: The hook that looks it up.
    :param storage_conn_id: The connection.
    """
    with _before_sending(storage_conn_id):
        return _credentials(await _cache(hook, storage_conn_id).aget())


def _cache(hook: ImportProgressHook, storage_conn_id: str) -> ConnectionCache:
    return ConnectionCache(
        hook,
        storage_conn_id,
        _read,
        "Airflow does not find this connection. Create one with the access key as login and the secret key as "
        "password, or give the right storage_conn_id. If there is one, its secrets backend did not answer.",
    )


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
