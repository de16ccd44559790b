# SPDX-License-Identifier: Apache-2.0
"""Look a connection up in Airflow, and keep it for some minutes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeGuard

from airflow_import_progress.compat import AirflowNotFoundException, look_up_connection
from airflow_import_progress.exceptions import ImportPollError, ImportProgressError, ImportRequestError
from airflow_import_progress.http.connection import VendorConnection
from airflow_import_progress.http.exchange import redacted

if TYPE_CHECKING:
    from airflow_import_progress.compat import BaseHook, Connection

#: How long the look-up of a connection in Airflow may take on an event loop, in seconds.
LOOKUP_TIMEOUT = 60.0
#: How long a connection is used before it is looked up again, in seconds, so that a change takes effect.
CONNECTION_LIFETIME = 300.0


class ConnectionCache:
    """
    Look up the connection of a hook, and return the same one until it is :data:`CONNECTION_LIFETIME` old.

    :param hook: The hook that looks it up.
    :param conn_id: The Airflow connection.
    :param read: Reads and checks the connection and its extras.
    :param not_found: The error message for a connection that does not exist.
    """

    def __init__(
        self,
        hook: BaseHook,
        conn_id: str,
        read: Callable[[Connection, Any], VendorConnection],
        not_found: str,
    ) -> None:
        self._hook = hook
        self._conn_id = conn_id
        self._read = read
        self._not_found = not_found
        #: Whether the connection is known to exist. Airflow reports a connection as missing if its secrets backend
        #: does not answer, so a wait that has used the connection before treats that as an outage.
        self.is_known = False
        self._connection: VendorConnection | None = None
        self._looked_up_at = 0.0
        self._lock = asyncio.Lock()

    @property
    def secrets(self) -> tuple[str, ...]:
        """The secrets of the connection, as far as it was looked up."""
        return self._connection.secrets if self._connection else ()

    def get(self) -> VendorConnection:
        """
        Return the connection.

        :raises ImportRequestError: if it does not exist or cannot be used.
        :raises ImportPollError: if it could not be looked up.
        """
        if self._is_fresh(self._connection):
            return self._connection
        with self._tolerating_failed_refresh():
            with self._translating_lookup_errors():
                connection = self._hook.get_connection(self._conn_id)
                extra = connection.extra_dejson
            self._keep(self._read(connection, extra))
        return self._kept()

    async def aget(self) -> VendorConnection:
        """
        Return the connection without blocking the event loop.

        :raises ImportRequestError: if it does not exist or cannot be used.
        :raises ImportPollError: if it could not be looked up.
        """
        if self._is_fresh(self._connection):
            return self._connection
        # One look-up for all callers that need it at the same time.
        async with self._lock:
            if self._is_fresh(self._connection):
                return self._connection
            await self._alook_up()
        return self._kept()

    def forget(self, refused: VendorConnection) -> None:
        """
        Look the connection up again next time, because the vendor refused its credentials: they may have changed.

        :param refused: The connection that was refused. A connection that was looked up since then is kept.
        """
        if self._connection is refused:
            self._connection = None

    async def _alook_up(self) -> None:
        with self._tolerating_failed_refresh():
            with self._translating_lookup_errors():
                async with asyncio.timeout(LOOKUP_TIMEOUT):
                    connection, extra = await look_up_connection(self._hook, self._conn_id)
            self._keep(await asyncio.to_thread(self._read, connection, extra))

    def _is_fresh(self, connection: VendorConnection | None) -> TypeGuard[VendorConnection]:
        return connection is not None and time.monotonic() - self._looked_up_at <= CONNECTION_LIFETIME

    def _keep(self, connection: VendorConnection) -> None:
        self._connection = connection
        self.is_known = True

    def _kept(self) -> VendorConnection:
        assert self._connection is not None  # noqa: S101
        return self._connection

    @contextmanager
    def _tolerating_failed_refresh(self) -> Iterator[None]:
        try:
            yield
        except ImportProgressError:
            # An old connection may still be right. If it is not, the vendor refuses it.
            if self._connection is None:
                raise
        self._looked_up_at = time.monotonic()

    @contextmanager
    def _translating_lookup_errors(self) -> Iterator[None]:
        try:
            yield
        except AirflowNotFoundException:
            if self.is_known:
                raise ImportPollError("Airflow does not find this connection any more.", transient=True) from None
            raise ImportRequestError(self._not_found) from None
        except Exception as error:
            # The API server or the secrets backend may be restarting; a wait outlives that.
            words = redacted(f"{type(error).__name__}: {error}", self.secrets)
            raise ImportPollError(f"Airflow could not look up the connection ({words}).", transient=True) from error
