# SPDX-License-Identifier: Apache-2.0
"""The adapter with which requests skips all interim answers, as aiohttp does."""

from __future__ import annotations

import http.client
from functools import cache
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import requests

#: Maximum number of interim answers (1xx) before the final one.
MAX_INTERIM_ANSWERS = 10


class _FinalResponse(http.client.HTTPResponse):
    """An answer without the interim answers before it, of which http.client skips only "100 Continue"."""

    def begin(self) -> None:
        for _ in range(MAX_INTERIM_ANSWERS):
            super().begin()
            if not 100 < self.status < 200 or self.status == HTTPStatus.SWITCHING_PROTOCOLS:
                return
            # Reset, so that the next answer is read.
            self.headers = None  # type: ignore[assignment]
        raise http.client.HTTPException(f"more than {MAX_INTERIM_ANSWERS} interim answers")


@cache
def adapter_class() -> type[requests.adapters.HTTPAdapter]:
    """Return the class of the adapter. It is made on first use, because a DAG file must not load requests."""
    import requests
    import urllib3

    class Connection(urllib3.connection.HTTPConnection):
        response_class = _FinalResponse

    class TlsConnection(urllib3.connection.HTTPSConnection):
        response_class = _FinalResponse

    class Pool(urllib3.HTTPConnectionPool):
        ConnectionCls = Connection

    class TlsPool(urllib3.HTTPSConnectionPool):
        ConnectionCls = TlsConnection

    class Adapter(requests.adapters.HTTPAdapter):
        def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
            super().init_poolmanager(*args, **kwargs)
            self.poolmanager.pool_classes_by_scheme = {"http": Pool, "https": TlsPool}

        def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:
            manager = super().proxy_manager_for(*args, **kwargs)
            manager.pool_classes_by_scheme = {"http": Pool, "https": TlsPool}
            return manager

    return Adapter
