# SPDX-License-Identifier: Apache-2.0
"""The command line. Imports no Airflow, so that the help appears at once."""

from __future__ import annotations

import argparse
import re

from airflow_import_progress.cli.kinds import KINDS
from airflow_import_progress.vendor_info import Argument, Kind, in_words, installed_vendors

#: Short, because somebody is watching. Rocket.Chat allows ten requests a minute per address.
DEFAULT_POKE_INTERVAL = 10.0
#: Default limit for a forgotten watch: a shift.
DEFAULT_TIMEOUT = 8 * 3600.0

#: Default age of the ended imports that are listed, in seconds: a night.
DEFAULT_SINCE = 12 * 3600
#: Maximum age of the ended imports that are listed, in days.
MAX_SINCE_DAYS = 3650
_SECONDS = {"m": 60, "h": 3600, "d": 24 * 3600}

LIST_EPILOG = """\
environment:
  AIRFLOW_CLI_TOKEN  a token of Airflow's API, or
  AIRFLOW_USERNAME   the name of an Airflow user, and
  AIRFLOW_PASSWORD   the user's password

exit status:
  0    no import failed in this time
  1    an import failed in this time, or its outcome is unknown
  2    unknown: Airflow was not reached, it refused the request, or it has no Imports page; wrong arguments
  130  interrupted (Ctrl-C)
"""

EPILOG = """\
exit status:
  0    the import is done, and passes
  1    the import failed, was cancelled, or does not pass
  2    the outcome is unknown: a wrong key, an unknown connection or import, a vendor that is down for too long, the
       timeout, wrong arguments
  130  interrupted (Ctrl-C)

Watching changes nothing at the vendor or in Airflow.
"""


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    result = argparse.ArgumentParser(
        prog="airflow-import-progress",
        description="Watch vendors' bulk imports from a terminal.",
        allow_abbrev=False,
    )
    commands = result.add_subparsers(dest="command", required=True, metavar="command")
    watch = commands.add_parser(
        "watch",
        help="show the progress of one import until it is over",
        description="Show the progress of one import until it is over. It is polled as by the sensors, through the "
        "same Airflow connections.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    _add_common(watch)
    kinds = watch.add_subparsers(dest="kind", required=True, metavar="kind", title="kinds of imports")
    for kind in (*KINDS, *_kinds_of_other_packages()):
        _add_kind(kinds, kind)
    _add_list(commands)
    return result


def parse_span(text: str) -> int:
    """
    Return the seconds of a span of time.

    :param text: The span, such as ``90m``, ``12h`` or ``7d``.
    :raises argparse.ArgumentTypeError: if it is not one, or is too long.
    """
    match = re.fullmatch(r"([1-9]\d{0,6})([mhd])", text, re.ASCII)
    seconds = int(match[1]) * _SECONDS[match[2]] if match else None
    if seconds is None or seconds > MAX_SINCE_DAYS * _SECONDS["d"]:
        raise argparse.ArgumentTypeError(f"{text!r} is not a time such as 90m, 12h or 7d (at most {MAX_SINCE_DAYS}d)")
    return seconds


def _add_list(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    list_parser = commands.add_parser(
        "list",
        help="list the imports that tasks wait for, and those whose waits ended recently",
        description="List the imports that tasks wait for, and those whose waits ended recently, as the Imports page "
        "in Airflow's UI does. The list is read from Airflow's API, and contains the DAGs that the user may read.",
        epilog=LIST_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    list_parser.add_argument(
        "--api-url",
        metavar="URL",
        help="the address of Airflow, such as https://airflow.example.com (default: [api] base_url of Airflow's "
        "configuration, or http://localhost:8080)",
    )
    list_parser.add_argument(
        "--since",
        type=parse_span,
        metavar="TIME",
        default=DEFAULT_SINCE,
        help="list the imports that ended within this time, such as 90m, 12h or 7d (default: 12h)",
    )
    list_parser.add_argument("--failed", action="store_true", help="list only those that failed")
    list_parser.add_argument("--vendor", help="list only imports at this vendor, such as Lucca or Rocket.Chat")
    list_parser.add_argument(
        "--json", action="store_true", help="write a JSON object per line and import to the standard output"
    )


def _kinds_of_other_packages() -> list[Kind]:
    """Return the usable kinds of vendors of other packages. The others are logged."""
    found: dict[str, Kind] = {}
    taken = {kind.name for kind in KINDS}
    for vendor in installed_vendors():
        for kind in vendor.info.kinds:
            part = f"The kind of import {kind.name!r}"
            if kind.name in taken or kind.name in found:
                vendor.leave_out(part, "another kind has this name")
                continue
            try:
                _check_kind(kind)
            except Exception as error:
                vendor.leave_out(part, in_words(error))
            else:
                found[kind.name] = kind
    return list(found.values())


def _check_kind(kind: Kind) -> None:
    """Add a kind to a parser of its own, so that an error in it does not break the command for the others."""
    scratch = argparse.ArgumentParser()
    kinds = scratch.add_subparsers()
    _add_kind(kinds, kind)
    scratch.format_help()
    kinds.choices[kind.name].format_help()


def _add_kind(kinds: argparse._SubParsersAction[argparse.ArgumentParser], kind: Kind) -> None:
    kind_parser = kinds.add_parser(
        kind.name,
        help=kind.description,
        description=f"Watch {kind.description}.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    kind_parser.set_defaults(watched=kind, parser=kind_parser)
    kind_parser.add_argument(
        kind.identifier.name, nargs=None if kind.needs_identifier else "?", help=kind.identifier.help
    )
    for argument in kind.options:
        _add_option(kind_parser, argument)
    _add_common(kind_parser)


def _add_option(kind_parser: argparse.ArgumentParser, argument: Argument) -> None:
    # Without a default, so that the default is that of the sensor.
    if argument.read is None:
        kind_parser.add_argument(argument.option, action="store_true", default=argparse.SUPPRESS, help=argument.help)
    else:
        kind_parser.add_argument(
            argument.option,
            type=argument.read,
            choices=argument.choices,
            default=argparse.SUPPRESS,
            help=argument.help,
        )


def _add_common(one_parser: argparse.ArgumentParser) -> None:
    # Allowed before and after the kind. The default is suppressed, so that one does not override the other.
    one_parser.add_argument(
        "--conn-id",
        default=argparse.SUPPRESS,
        help="the Airflow connection (default: that of the vendor's sensors, such as lucca_default)",
    )
    one_parser.add_argument(
        "--poke-interval",
        type=float,
        metavar="SECONDS",
        default=argparse.SUPPRESS,
        help=f"longest gap between two polls (default: {DEFAULT_POKE_INTERVAL:g}, because somebody is watching; "
        f"every vendor allows it); the gaps get shorter as the end comes near",
    )
    one_parser.add_argument(
        "--timeout",
        type=float,
        metavar="SECONDS",
        default=argparse.SUPPRESS,
        help=f"how long to watch at most (default: {DEFAULT_TIMEOUT:g}, a shift, so that a forgotten watch ends)",
    )
    one_parser.add_argument(
        "--json",
        action="store_true",
        default=argparse.SUPPRESS,
        help="write a JSON object per line and change, and nothing else, to the standard output",
    )
