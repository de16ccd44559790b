# SPDX-License-Identifier: Apache-2.0
"""
A real Airflow in a temporary home, on the loopback interface only.

It consists of the same processes as ``airflow standalone``. Each component is a separate process that can be stopped,
killed and started again while the others run. Nothing is written outside the temporary home. The home and all processes
are removed at the end, even if the process that started them is killed.
"""

from __future__ import annotations

import base64
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import IO

from tools.airflow_api import AirflowApi
from tools.guard import Guard, end_sessions, kill_sessions

# Without log servers, because those listen on every interface, and the API server reads the same files.
TRIGGERER = ("triggerer", "--skip-serve-logs")

#: The commands of Airflow's components, by name. The API server is first, because it is the slowest to start and the
#: others need it.
COMPONENTS: Mapping[str, Sequence[str]] = {
    "api-server": ("api-server",),
    "scheduler": ("scheduler", "--skip-serve-logs"),
    "dag-processor": ("dag-processor",),
    "triggerer": TRIGGERER,
}

#: The job types of the components in Airflow's database, by command.
_JOB_TYPES = {"scheduler": "SchedulerJob", "dag-processor": "DagProcessorJob", "triggerer": "TriggererJob"}

_START_TIMEOUT = 180
_LOG_TAIL_LINES = 40

# Components store their host name with each task, and resolving the real one would send a request to a name server.
_HOSTNAME_MODULE = '''
"""The host name that Airflow's components report."""


def loopback() -> str:
    return "127.0.0.1"
'''


class AirflowStartError(Exception):
    """Raised when a component ends or does not start in time; the message includes the end of its log."""


class LocalAirflow:
    """
    Airflow's API server, scheduler, triggerer and DAG processor, which run as long as the ``with`` block.

    A component is up when it has registered its job in Airflow's database. Components without a job, such as a Celery
    worker, are started and not waited for.

    :param dags_folder: The folder of the DAG files.
    :param connections: Airflow connections as dictionaries for JSON, by connection id. All components get them as
        ``AIRFLOW_CONN_*`` variables.
    :param database_url: An SQLAlchemy URL. None: an SQLite file in the temporary home.
    :param settings: Further Airflow settings as environment variables, such as
        ``{"AIRFLOW__CORE__PARALLELISM": "4"}``.
    :param components: The commands of the components by name: those of ``COMPONENTS``, and others such as a second
        triggerer. Without the API server, which Airflow 2 does not have, no component is waited for.
    :param users: The roles of the users by name. A user's password is their name, and the API client logs in as the
        first one. None: nobody logs in, and everybody is an admin.
    :param report: The function that is called with a message for each step of the start.
    """

    def __init__(
        self,
        dags_folder: Path,
        *,
        connections: Mapping[str, Mapping[str, object]] | None = None,
        database_url: str | None = None,
        settings: Mapping[str, str] | None = None,
        components: Mapping[str, Sequence[str]] = COMPONENTS,
        users: Mapping[str, str] | None = None,
        report: Callable[[str], None] = lambda message: None,
    ) -> None:
        self._dags_folder = dags_folder
        self._connections = connections or {}
        self._database_url = database_url
        self._settings = settings or {}
        self._users = users or {}
        self._report = report
        self._commands = components
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._jobs: dict[str, int] = {}

    def __enter__(self) -> LocalAirflow:
        # Resolved, because the temporary folder of macOS is a symbolic link, and Airflow would take the link and its
        # target for two files.
        self.home = Path(tempfile.mkdtemp(prefix="airflow-")).resolve()
        self.logs = self.home / "component-logs"
        self._guard = Guard(self.home)
        try:
            self.logs.mkdir()
            (self.home / "tmp").mkdir()
            (self.home / "config").mkdir()
            (self.home / "config" / "loopback_hostname.py").write_text(_HOSTNAME_MODULE)
            passwords = {name: name for name in self._users}
            (self.home / "simple_auth_manager_passwords.json.generated").write_text(json.dumps(passwords))
            self.api = AirflowApi(f"http://127.0.0.1:{_free_port()}")
            self.environment = self._make_environment()
            self._report("Creating Airflow's database")
            self._migrate_database()
            self._report("Starting Airflow's API server, scheduler, DAG processor and triggerer")
            self.start_all()
        except BaseException:
            self._shut_down()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._shut_down()

    @property
    def url(self) -> str:
        """The address of the UI and of the API."""
        return self.api.url

    @property
    def components(self) -> Sequence[str]:
        """The names of all components."""
        return tuple(self._commands)

    def start(self, component: str) -> None:
        """Start a component that is not running, and wait until it is up."""
        started_at = datetime.now(UTC)
        self._launch(component)
        self._wait_for_api_server()
        self._wait_for_job(component, started_at)

    def start_all(self) -> None:
        """Start all components that are not running, and wait until they are up."""
        started_at = datetime.now(UTC)
        missing = [component for component in self._commands if component not in self._processes]
        at_once = [component for component in missing if component in COMPONENTS]
        for component in at_once:
            self._launch(component)
        if "api-server" in self._commands:
            self._wait_for_api_server()
            self.api.log_in(next(iter(self._users), None))
            for component in at_once:
                self._wait_for_job(component, started_at)
        # One after the other, because the jobs of two triggerers differ only in when they were started.
        for component in missing:
            if component not in COMPONENTS:
                self.start(component)

    def stop(self, component: str) -> None:
        """Stop a component with SIGTERM, as an operator would, and wait until it is gone."""
        process = self._processes.pop(component)
        end_sessions({process.pid}, grace=30)
        process.wait()
        self._guard.forget(process.pid)

    def kill(self, component: str) -> None:
        """Kill a component and all its children with SIGKILL, as a crash would."""
        process = self._processes.pop(component)
        kill_sessions({process.pid})
        process.wait()
        self._guard.forget(process.pid)

    def kill_all(self) -> None:
        """Kill all components and their children with SIGKILL, as a power failure would."""
        kill_sessions({process.pid for process in self._processes.values()})
        for process in self._processes.values():
            process.wait()
            self._guard.forget(process.pid)
        self._processes.clear()

    def process_id(self, component: str) -> int:
        """Return the id of a component's first process, which leads the session of its other processes."""
        return self._processes[component].pid

    def job_id(self, component: str) -> int:
        """Return the id of a component's job since its last start."""
        return self._jobs[component]

    def component_log(self, component: str) -> str:
        """Return the standard output and error of a component."""
        return self._log_file(component).read_text(errors="replace")

    def check_running(self) -> None:
        """Raise :class:`AirflowStartError` if a component that was started and not stopped has ended."""
        for component, process in self._processes.items():
            if process.poll() is not None:
                raise AirflowStartError(self._crash_report(component, f"ended with status {process.returncode}"))

    def _make_environment(self) -> dict[str, str]:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW_")}
        database_url = self._database_url or f"sqlite:///{self.home}/airflow.db"
        environment |= {
            "AIRFLOW_HOME": str(self.home),
            "AIRFLOW__CORE__DAGS_FOLDER": str(self._dags_folder.resolve()),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
            "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
            # More tasks at once would slow down each other and the scheduler while they import Airflow.
            "AIRFLOW__CORE__PARALLELISM": "4",
            "AIRFLOW__CORE__FERNET_KEY": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
            "AIRFLOW__CORE__HOSTNAME_CALLABLE": "loopback_hostname.loopback",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": str(not self._users),
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": ",".join(map(":".join, self._users.items())),
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": database_url,
            "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(self.home / "logs"),
            "AIRFLOW__API__HOST": "127.0.0.1",
            "AIRFLOW__API__PORT": self.url.rpartition(":")[2],
            "AIRFLOW__API__BASE_URL": self.url,
            "AIRFLOW__API__SECRET_KEY": secrets.token_hex(16),
            "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_hex(32),
            # Schedule often, because a person or a test waits for the next step.
            "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.2",
            "AIRFLOW__SCHEDULER__SCHEDULER_HEARTBEAT_SEC": "1",
            "AIRFLOW__SCHEDULER__JOB_HEARTBEAT_SEC": "2",
            "AIRFLOW__TRIGGERER__JOB_HEARTBEAT_SEC": "2",
            # Nothing leaves the machine. Some of these are already the default.
            "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
            "AIRFLOW__METRICS__STATSD_ON": "False",
            "AIRFLOW__METRICS__OTEL_ON": "False",
            "AIRFLOW__TRACES__OTEL_ON": "False",
            "SCARF_ANALYTICS": "false",
            "NO_PROXY": "*",
            "no_proxy": "*",
            # Nothing is written outside the temporary home, not even byte code next to the DAG files.
            "PYTHONDONTWRITEBYTECODE": "1",
            "TMPDIR": str(self.home / "tmp"),
            "PYTHONUNBUFFERED": "1",
            # LocalExecutor forks, which macOS otherwise forbids in a process that has used its frameworks.
            "OBJC_DISABLE_INITIALIZE_FORK_SAFETY": "YES",
        }
        for conn_id, connection in self._connections.items():
            environment[f"AIRFLOW_CONN_{conn_id.upper()}"] = json.dumps(connection)
        return environment | dict(self._settings)

    def _migrate_database(self) -> None:
        with self._log_file("db-migrate").open("ab") as log:
            process = self._spawn(["db", "migrate"], log)
            try:
                status = process.wait(timeout=_START_TIMEOUT)
            finally:
                kill_sessions({process.pid})
                process.wait()
                self._guard.forget(process.pid)
        if status != 0:
            raise AirflowStartError(self._crash_report("db-migrate", f"ended with status {status}"))

    def _launch(self, component: str) -> None:
        if component in self._processes:
            raise ValueError(f"{component} is already running")
        with self._log_file(component).open("ab") as log:
            self._processes[component] = self._spawn(self._commands[component], log)

    def _spawn(self, arguments: Sequence[str], log: IO[bytes]) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [sys.executable, "-m", "airflow", *arguments],
            cwd=self.home,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self._guard.watch(process.pid)
        return process

    def _wait_for_api_server(self) -> None:
        def is_healthy() -> bool:
            health = self.api.health()
            return bool(health) and health["metadatabase"]["status"] == "healthy"

        self._wait_for("api-server", is_healthy)

    def _wait_for_job(self, component: str, started_at: datetime) -> None:
        job_type = _JOB_TYPES.get(self._commands[component][0])
        if job_type is None:
            return

        # Not from Airflow's health report, which has only the latest heartbeat of all triggerers, dead ones included.
        def has_registered() -> bool:
            for job in self.api.jobs(job_type):
                if datetime.fromisoformat(job["start_date"]) >= started_at:
                    self._jobs[component] = job["id"]
                    return True
            return False

        self._wait_for(component, has_registered)

    def _wait_for(self, component: str, is_up: Callable[[], bool]) -> None:
        deadline = time.monotonic() + _START_TIMEOUT
        while not is_up():
            self.check_running()
            if time.monotonic() > deadline:
                raise AirflowStartError(self._crash_report(component, f"was not up after {_START_TIMEOUT} seconds"))
            time.sleep(0.25)

    def _shut_down(self) -> None:
        try:
            if hasattr(self, "api"):
                self.api.close()  # first, because the API server waits for its clients to leave
            end_sessions({process.pid for process in self._processes.values()}, grace=2)
            for process in self._processes.values():
                process.wait()
            shutil.rmtree(self.home, ignore_errors=True)
        finally:
            # The guard ends and removes everything that remains, for example after a second Ctrl-C.
            self._guard.close()
            self._processes.clear()

    def _log_file(self, name: str) -> Path:
        return self.logs / f"{name}.log"

    def _crash_report(self, name: str, problem: str) -> str:
        tail = self._log_file(name).read_text(errors="replace").splitlines()[-_LOG_TAIL_LINES:]
        return "\n".join([f"airflow {name} {problem}. The end of its log:", *(f"    {line}" for line in tail)])


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
