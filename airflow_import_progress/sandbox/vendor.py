# SPDX-License-Identifier: Apache-2.0
"""What the sandbox needs of a vendor to imitate it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import ClassVar

from aiohttp import web

from airflow_import_progress.sandbox.checks import Json
from airflow_import_progress.sandbox.world import World

WORLD: web.AppKey[World] = web.AppKey("world", World)


class Vendor(ABC):
    """
    The imitation of one vendor's import API.

    It holds no state: what changes is in the :class:`World` that its handlers find in ``request.app[WORLD]``.
    """

    #: Name by which users choose the vendor.
    name: ClassVar[str]
    #: What can be imported.
    kinds: ClassVar[tuple[str, ...]]
    #: The kinds of which the vendor tells afterwards what the import did.
    kinds_with_results: ClassVar[tuple[str, ...]] = ()
    #: The credentials accepted at first, by name.
    credentials: ClassVar[Mapping[str, str]]

    @abstractmethod
    def routes(self) -> Iterable[web.RouteDef]:
        """Return the endpoints; their handlers are called only with the right credentials."""

    @abstractmethod
    async def import_id(self, request: web.Request) -> str | None:
        """
        Return the id of the import that a request asks about; None if it names none.

        :param request: a request to one of the vendor's endpoints
        """

    @abstractmethod
    def is_authorized(self, request: web.Request, credentials: Mapping[str, str]) -> bool:
        """
        Return whether a request carries the right credentials.

        :param request: a request to one of the vendor's endpoints
        :param credentials: the credentials accepted now
        """

    @abstractmethod
    def unauthorized(self) -> web.Response:
        """Return the vendor's answer to wrong credentials."""

    @abstractmethod
    def progress_in(self, answer: Json) -> float | None:
        """
        Return the progress that the body of a progress answer tells; None if it tells none.

        :param answer: any JSON value
        """

    @abstractmethod
    def airflow_connection(self, credentials: Mapping[str, str]) -> Mapping[str, str]:
        """
        Return the fields of an Airflow connection other than host, port and schema.

        :param credentials: the credentials accepted now
        """

    def shown_authorization(self, value: str) -> str:
        """
        Return an ``Authorization`` header without its secret.

        :param value: what the client sent, right or wrong
        """
        return "***"
