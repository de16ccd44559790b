# SPDX-License-Identifier: Apache-2.0
"""The command ``airflow-import-progress``."""

from __future__ import annotations

import argparse
import os
import pkgutil
import re
import signal
import sys
import warnings
from typing import TYPE_CHECKING, Any, TextIO

from airflow_import_progress.cli.arguments import DEFAULT_POKE_INTERVAL, DEFAULT_TIMEOUT, parser

if TYPE_CHECKING:
    from airflow_import_progress.cli.display import Display
    from airflow_import_progress.cli.watched import WatchedImport
    from airflow_import_progress.sensors.base import BaseImportSensor

INTERRUPTED_EXIT_CODE = 128 + signal.SIGINT
BROKEN_PIPE_EXIT_CODE = 128 + signal.SIGPIPE
#: The user and password in an address of Airflow's configuration, such as that of its database.
CREDENTIALS = re.compile(r"//\S*@")


def main() -> int:
    """Run the command as a process, and return the exit status."""
    # A shell ignores SIGINT for a command in the background. SIGTERM would leave a terminal without a cursor.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _stop)
    try:
        options = parser().parse_args()
        _keep_airflow_quiet()
        with _own_output() as out:
            return perform(options, out)
    except KeyboardInterrupt:
        return INTERRUPTED_EXIT_CODE
    except BrokenPipeError:
        return BROKEN_PIPE_EXIT_CODE
    except Exception as error:
        # Not by Python, whose exit status, 1, would mean that the import failed.
        print(f"airflow-import-progress: {_in_words(error)}", file=sys.stderr)
        return 2


def perform(options: argparse.Namespace, out: TextIO) -> int:
    """Run the command, and return the exit status."""
    if options.command == "list":
        from airflow_import_progress.cli.listing import list_imports

        return list_imports(options, out)
    return _watch(options, out)


def _watch(options: argparse.Namespace, out: TextIO) -> int:
    # Imported here, because they are slow to import and the parser does not need them.
    from airflow_import_progress.cli.watched import Outcome, WatchedImport, printable

    watched = WatchedImport(getattr(options, "conn_id", None))
    try:
        with _display(options, watched, out) as display:
            try:
                sensor = _sensor(options)
                watched.conn_id = sensor.get_hook().conn_id
                from airflow_import_progress.cli.watching import watch

                outcome = watch(sensor, display, watched)
            except KeyboardInterrupt:
                words = watched.progress.in_words() if watched.progress else "no progress yet"
                outcome = Outcome(
                    "interrupted", f"{watched.subject or 'the import'}: {words}. Only the watch ends, not the import."
                )
            except (_ArgumentError, BrokenPipeError):
                raise
            except Exception as error:
                outcome = Outcome("unknown", _in_words(error), type(error).__name__)
    except _ArgumentError as error:
        options.parser.error(printable(str(error)))
    display.on_end(outcome)
    return outcome.exit_code


class _ArgumentError(Exception):
    """Raised for invalid arguments, with the message of the class that refused them."""


def _display(options: argparse.Namespace, watched: WatchedImport, out: TextIO) -> Display:
    from airflow_import_progress.cli.bar import Bar
    from airflow_import_progress.cli.display import JsonLines, TextLines, is_terminal

    if getattr(options, "json", False):
        return JsonLines(watched, out)
    if is_terminal(out):
        return Bar(watched, out)
    return TextLines(watched, out)


def _sensor(options: argparse.Namespace) -> BaseImportSensor:
    """Return the sensor that would wait for the import. It checks the arguments."""
    kind = options.watched
    sensor_class = pkgutil.resolve_name(kind.sensor)

    from airflow_import_progress.compat import look_up_connections_as_on_the_command_line

    look_up_connections_as_on_the_command_line()
    given = vars(options)
    arguments: dict[str, Any] = {
        argument.name: given[argument.name]
        for argument in (kind.identifier, *kind.options)
        if given.get(argument.name) is not None
    }
    if "conn_id" in given:
        arguments[sensor_class.hook_class.conn_name_attr] = given["conn_id"]
    try:
        sensor: BaseImportSensor = sensor_class(
            task_id="watch",
            deferrable=False,
            poke_interval=given.get("poke_interval", DEFAULT_POKE_INTERVAL),
            timeout=given.get("timeout", DEFAULT_TIMEOUT),
            **arguments,
        )
        # Called for its checks: it refuses templates.
        sensor.get_import()
    except Exception as error:
        # Any exception, because Airflow raises various ones for its own arguments.
        raise _ArgumentError(str(error)) from None
    return sensor


def _in_words(error: Exception) -> str:
    """Return the message of an unexpected error."""
    return CREDENTIALS.sub("//***@", f"{type(error).__name__}: {error}")


def _keep_airflow_quiet() -> None:
    """Silence the log and the warnings of Airflow. Its errors are shown."""
    os.environ["AIRFLOW__LOGGING__LOGGING_LEVEL"] = "CRITICAL"
    if not sys.warnoptions:
        # Set, because Airflow otherwise turns its own warnings on.
        sys.warnoptions.append("ignore")
        warnings.simplefilter("ignore")


def _own_output() -> TextIO:
    """Return the standard output, and redirect everything else that is written to it to the standard error."""
    sys.stdout.flush()
    own = os.dup(sys.stdout.fileno())
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    # The encoding of a terminal may lack characters of a vendor's texts.
    return open(own, "w", encoding=sys.stdout.encoding, errors="backslashreplace")


def _stop(number: int, _: Any) -> None:
    if number == signal.SIGTERM:
        sys.exit(128 + number)
    raise KeyboardInterrupt
