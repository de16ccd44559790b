# SPDX-License-Identifier: Apache-2.0
"""The parser of the command line. This module does not import Airflow, so that ``--help`` is fast."""

from __future__ import annotations

import argparse

from airflow_import_progress.cli.kinds import KINDS, Argument, Kind

#: Shorter than that of the sensors, because a person is watching. Rocket.Chat allows an address ten requests a minute.
DEFAULT_POKE_INTERVAL = 10.0
#: Ends a forgotten watch: a shift of eight hours.
DEFAULT_TIMEOUT = 8 * 3600.0

EPILOG = """\
exit status:
  0    the import is done and passes the limits
  1    the import failed, was cancelled, or does not pass the limits
  2    the outcome is unknown: a wrong API key, an unknown connection or import, a long outage of the vendor, the
       timeout, or wrong arguments
  130  interrupted (Ctrl-C)

The command changes nothing at the vendor or in Airflow.
"""


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    result = argparse.ArgumentParser(
        prog="airflow-import-progress",
        description="Watch a vendor's bulk import from a terminal.",
        allow_abbrev=False,
    )
    commands = result.add_subparsers(dest="command", required=True, metavar="command")
    watch = commands.add_parser(
        "watch",
        help="show the progress of an import until it ends",
        description="Show the progress of an import until it ends. The command polls the vendor as the sensors do, "
        "through the same Airflow connections.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    _add_common(watch)
    kinds = watch.add_subparsers(dest="kind", required=True, metavar="kind", title="kinds of imports")
    for kind in KINDS:
        _add_kind(kinds, kind)
    return result


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
    # An omitted option keeps the sensor's default.
    if argument.parse is None:
        kind_parser.add_argument(argument.option, action="store_true", default=argparse.SUPPRESS, help=argument.help)
    else:
        kind_parser.add_argument(
            argument.option,
            type=argument.parse,
            choices=argument.choices,
            default=argparse.SUPPRESS,
            help=argument.help,
        )


def _add_common(command_parser: argparse.ArgumentParser) -> None:
    # Accepted before and after the kind. Without SUPPRESS, the default of the latter would replace the former.
    command_parser.add_argument(
        "--conn-id",
        default=argparse.SUPPRESS,
        help="the Airflow connection (default: the sensors' default, such as lucca_default)",
    )
    command_parser.add_argument(
        "--poke-interval",
        type=float,
        metavar="SECONDS",
        default=argparse.SUPPRESS,
        help=f"maximum gap between two polls (default: {DEFAULT_POKE_INTERVAL:g}, which every vendor allows); the gaps "
        "become shorter near the expected end",
    )
    command_parser.add_argument(
        "--timeout",
        type=float,
        metavar="SECONDS",
        default=argparse.SUPPRESS,
        help=f"maximum duration of the watch (default: {DEFAULT_TIMEOUT:g}, which is eight hours)",
    )
    command_parser.add_argument(
        "--json",
        action="store_true",
        default=argparse.SUPPRESS,
        help="write one JSON object per line and change, and nothing else, to the standard output",
    )
