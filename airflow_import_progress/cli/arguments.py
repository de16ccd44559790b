# SPDX-License-Identifier: Apache-2.0
"""The command line. Imports no Airflow, so that the help appears at once."""

from __future__ import annotations

import argparse

from airflow_import_progress.cli.kinds import KINDS
from airflow_import_progress.vendor_info import Argument, Kind, in_words, installed_vendors

#: Short, because somebody is watching. Rocket.Chat allows ten requests a minute per address.
DEFAULT_POKE_INTERVAL = 10.0
#: Default limit for a forgotten watch: a shift.
DEFAULT_TIMEOUT = 8 * 3600.0

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
        description="Watch a vendor's bulk import from a terminal.",
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
    return result


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
