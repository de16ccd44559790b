# SPDX-License-Identifier: Apache-2.0
"""Airflow's app with the plugin, a real metadata database, and users of limited permissions."""

from __future__ import annotations

import json
import os
import time
from contextlib import contextmanager
from unittest import mock

from airflow import settings
from airflow.api_fastapi import app as airflow_app
from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
from airflow.api_fastapi.auth.managers.simple.simple_auth_manager import SimpleAuthManager
from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser
from airflow.models.dag import DagModel
from airflow.models.dagrun import DagRun
from airflow.models.taskinstance import TaskInstance
from airflow.models.xcom import XComModel
from airflow.utils.db import initdb
from airflow.utils.session import create_session
from sqlalchemy import delete

from airflow_import_progress.waiting.published import PublishedProgress
from tools.seed_waits import seed_waits

NOW = time.time()
#: The password of the one user who can log in, "reads everything".
PASSWORD = "a password of a test"


class Permissions(SimpleAuthManager):
    """Airflow's simple auth manager, with users of limited permissions."""

    def is_authorized_dag(self, *, method, user, access_entity=None, details=None):
        dag_id = details.id if details else None
        return {
            "reads everything": True,
            "reads one DAG": dag_id in (None, "leaves"),
            "reads no XComs": access_entity is not DagAccessEntity.XCOM,
            "reads no tasks": access_entity is not DagAccessEntity.TASK_INSTANCE,
            "reads nothing": False,
        }[user.username]


@contextmanager
def airflows_app(folder, database_url=None):
    """Return Airflow's app, by default with a database in a folder."""
    passwords = folder / "passwords.json"
    passwords.write_text(json.dumps({"reads everything": PASSWORD}))
    environment = {
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": database_url or f"sqlite:///{folder}/airflow.db",
        "AIRFLOW__CORE__AUTH_MANAGER": f"{__name__}.Permissions",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": "reads everything:viewer",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(passwords),
        "AIRFLOW__API_AUTH__JWT_SECRET": "a secret of sufficient length for tests, which is used nowhere else",
    }
    with mock.patch.dict(os.environ, environment):
        _use_configured_database()
        initdb()
        airflow_app.purge_cached_app()
        yield airflow_app.create_app("core")
    airflow_app.purge_cached_app()
    _use_configured_database()


def _use_configured_database():
    settings.dispose_orm()
    settings.configure_vars()
    settings.configure_orm()


def empty_database():
    with create_session() as session:
        for model in (XComModel, TaskInstance, DagRun, DagModel):
            session.execute(delete(model))


def store_waits(*waits):
    with create_session() as session:
        seed_waits(session, *waits)


def token_of(username):
    user = SimpleAuthManagerUser(username=username, role="viewer")
    return airflow_app.get_auth_manager().generate_jwt(user)


def published(vendor="Lucca", try_number=1, progress=("running", 42.0), message=None, details=(), **fields):
    state, percent = progress or (None, None)
    values = {"import_id": "3c90", "state": state, "percent": percent, "message": message, "details": dict(details)}
    counts = {"total": 1000, "processed": 420, "failed": 2}
    defaults = {
        "conn_id": "lucca_default",
        "label": "Lucca leave import",
        "import_id": "3c90",
        "waiting_since": NOW - 600,
        "deadline": NOW + 3000,
        "polled_at": NOW - 12,
        "progress": values | counts if progress else None,
        "progress_at": NOW - 12,
        "percent_per_minute": 4.2,
        "ends_at": NOW + 800,
        "history": [(NOW - 600, 0.0), (NOW - 12, 42.0)],
    }
    return PublishedProgress(vendor=vendor, try_number=try_number, **defaults | fields)
