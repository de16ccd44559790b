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
    from airflow_import_progress.cli.display import Display, View
    from airflow_import_progress.sensors.base import BaseImportSensor

INTERRUPTED = 128 + signal.SIGINT
READER_IS_GONE = 128 + signal.SIGPIPE
#: What may stand in an address that Airflow's configuration has, such as that of its database.
CREDENTIALS = re.compile(r"//\S*@")


def main() -> int:
    """Run the command as a process of its own, and return the exit status."""
    # A shell ignores SIGINT for what it starts in the background. SIGTERM would leave a terminal without its cursor.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _stop)
    try:
        options = parser().parse_args()
        _keep_airflow_quiet()
        with _own_output() as out:
            return perform(options, out)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        return READER_IS_GONE
    except Exception as error:
        # Python's own exit status for it is 1, which says that the import failed.
        print(f"airflow-import-progress: {_in_words(error)}", file=sys.stderr)
        return 2


def perform(options: argparse.Namespace, out: TextIO) -> int:
    """
    Do what the arguments say, and return the exit status.

    :param options: The arguments, as the parser read them.
    :param out: Where to write.
    """
    # Only now: what reads the arguments has no use for any of these, and they take their time.
    from airflow_import_progress.cli.display import Outcome, View, inert

    view = View(getattr(options, "conn_id", None))
    try:
        with _display(options, view, out) as display:
            try:
                sensor = _sensor(options)
                view.conn_id = sensor.get_hook().conn_id
                from airflow_import_progress.cli.watching import watch

                outcome = watch(sensor, display, view)
            except KeyboardInterrupt:
                words = view.progress.in_words() if view.progress else "nothing is known of it yet"
                outcome = Outcome.interrupted(
                    f"{view.subject or 'the import'}: {words}. Only the watch ends, not the import."
                )
            except (_ArgumentError, BrokenPipeError):
                raise
            except Exception as error:
                outcome = Outcome.unknown(error, _in_words(error))
    except _ArgumentError as error:
        options.parser.error(inert(str(error)))
    display.ended(outcome)
    return outcome.exit_code


class _ArgumentError(Exception):
    """Raised when the arguments cannot be right, in the words of the classes that take them."""


def _display(options: argparse.Namespace, view: View, out: TextIO) -> Display:
    from airflow_import_progress.cli.display import Bar, JsonLines, Lines

    if getattr(options, "json", False):
        return JsonLines(view, out)
    # Whether it is one, not what FORCE_COLOR says: a log of colours is one thing, a log of bars another.
    if out.isatty() and os.environ.get("TERM", "dumb") not in ("dumb", "unknown"):
        return Bar(view, out)
    return Lines(view, out)


def _sensor(options: argparse.Namespace) -> BaseImportSensor:
    """Return the sensor that would wait for the import, which checks the arguments."""
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
        # What looks like a template is refused only here.
        sensor.get_import()
    except Exception as error:
        # Airflow has various exceptions for its own arguments.
        raise _ArgumentError(str(error)) from None
    return sensor


def _in_words(error: Exception) -> str:
    """Return what went wrong where nobody foresaw it."""
    return CREDENTIALS.sub("//***@", f"{type(error).__name__}: {error}")


def _keep_airflow_quiet() -> None:
    """Have Airflow log and warn of nothing: what matters of it comes as an error, and is told."""
    os.environ["AIRFLOW__LOGGING__LOGGING_LEVEL"] = "CRITICAL"
    if not sys.warnoptions:
        # Airflow turns its own warnings on unless somebody chose.
        sys.warnoptions.append("ignore")
        warnings.simplefilter("ignore")


def _own_output() -> TextIO:
    """Return the standard output, and turn whatever else is written there to where errors go."""
    sys.stdout.flush()
    own = os.dup(sys.stdout.fileno())
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    # A terminal may not have all the letters that a vendor has.
    return open(own, "w", encoding=sys.stdout.encoding, errors="backslashreplace")


def _stop(number: int, _: Any) -> None:
    if number == signal.SIGTERM:
        sys.exit(128 + number)
    raise KeyboardInterrupt
