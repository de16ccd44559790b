# SPDX-License-Identifier: Apache-2.0
"""Watch one import: the loop of the sensors, with a display in place of a log."""

from __future__ import annotations

from typing import Any

from airflow_import_progress import clock
from airflow_import_progress.cli.display import Display
from airflow_import_progress.cli.watched import LogLine, Outcome, WatchedImport, in_clock_time
from airflow_import_progress.compat import AirflowNotFoundException, AirflowSensorTimeout
from airflow_import_progress.exceptions import ImportFailedError, ImportProgressError, ImportRequestError
from airflow_import_progress.hooks.base import ImportProgressHook
from airflow_import_progress.progress import ImportProgress
from airflow_import_progress.sensors.base import BaseImportSensor
from airflow_import_progress.waiting.wait import Wait


class _Log:
    """The lines that a wait logs, kept until they are shown."""

    def __init__(self) -> None:
        self._lines: list[LogLine] = []

    def info(self, words: str, *arguments: Any) -> None:
        self._lines.append(LogLine(words % arguments, is_warning=False))

    def warning(self, words: str, *arguments: Any) -> None:
        self._lines.append(LogLine(words % arguments, is_warning=True))

    def take(self) -> list[LogLine]:
        lines, self._lines = self._lines, []
        return lines


def watch(sensor: BaseImportSensor, display: Display, watched: WatchedImport) -> Outcome:
    """
    Poll an import until its outcome is known, and return the outcome.

    :param sensor: The sensor that would wait for it.
    :param display: Shows the import meanwhile.
    :param watched: The import that the display shows.
    """
    hook = sensor.get_hook()
    watched.begin(
        vendor=hook.hook_name,
        import_id=sensor.get_import().import_id,
        subject=sensor.get_import().describe(hook.conn_id),
        now=clock.current.time(),
        timeout=float(sensor.timeout),
    )
    try:
        progress = _wait(sensor, hook, display, watched)
    except ImportFailedError as error:
        return Outcome("failed", str(error), type(error).__name__)
    except ImportRequestError as error:
        return Outcome("unknown", f"{error} {_advice(hook)}".rstrip(), type(error).__name__)
    except (ImportProgressError, AirflowSensorTimeout) as error:
        return Outcome("unknown", str(error), type(error).__name__)
    return Outcome("done", f"{watched.subject}: {progress.in_words()}")


def _wait(
    sensor: BaseImportSensor, hook: ImportProgressHook, display: Display, watched: WatchedImport
) -> ImportProgress:
    import_, log, state = sensor.get_import(), _Log(), watched.state
    wait = Wait(
        import_=import_,
        conn_id=hook.conn_id,
        rules=sensor.wait_rules,
        state=state,
        log=log,
        clock=clock.current.time,
    )
    watched.seconds_left = wait.pace.seconds_left
    log.info("%s: until %s at the latest.", watched.subject, in_clock_time(state.deadline))
    wait.begin()
    display.on_log(log.take())
    with hook:
        while True:
            state.next_poll_at = None
            try:
                progress = hook.get_progress(import_)
            except ImportProgressError as error:
                gap = wait.on_error(error)
                display.on_error(log.take())
            else:
                try:
                    next_gap = wait.on_progress(progress)
                finally:
                    display.on_progress(log.take())
                if next_gap is None:
                    return progress
                gap = next_gap
            clock.current.sleep(gap)


def _advice(hook: ImportProgressHook) -> str:
    """Return advice on how to add the connection, if it does not exist."""
    if hook.connection_cache.is_known:
        return ""
    try:
        hook.get_connection(hook.conn_id)
    except AirflowNotFoundException:
        written = f'{{"conn_type": "{hook.conn_type}", "host": "…", "password": "…"}}'
        return (
            f"Name another one with --conn-id, add this one with: airflow connections add {hook.conn_id} --conn-json "
            f"'{written}' or set the environment variable AIRFLOW_CONN_{hook.conn_id.upper()}='{written}'"
        )
    except Exception:
        # The error that was shown is more helpful.
        return ""
    return ""
