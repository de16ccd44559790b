# SPDX-License-Identifier: Apache-2.0
"""The command ``python -m airflow_import_progress.sandbox``."""

from __future__ import annotations

import argparse
import errno
import json
import shlex
import signal
import sys
import threading
from collections.abc import Sequence

from airflow_import_progress.sandbox.checks import InvalidInputError, require_number
from airflow_import_progress.sandbox.control import PREFIX
from airflow_import_progress.sandbox.registry import credential_options, vendors
from airflow_import_progress.sandbox.server import DEFAULT_IMPORT_DURATION, Sandbox


def main(arguments: Sequence[str] | None = None) -> int:
    """
    Serve until Ctrl-C or SIGTERM and return the exit status.

    :param arguments: Arguments of the command. None: those of the process.
    """
    parser = _parser()
    options = parser.parse_args(arguments)
    try:
        sandbox = Sandbox(
            host=options.host,
            port=options.port,
            import_duration=options.import_duration,
            access_log=sys.stderr if options.verbose else None,
            rate_limits=options.rate_limits,
            **{name: getattr(options, name) for name in credential_options()},
        )
    except InvalidInputError as error:
        parser.error(f"argument --{error.field.replace('_', '-')}: {error.problem}")
    try:
        with sandbox:
            # Handle both: a shell ignores SIGINT for background jobs, and an unhandled SIGTERM skips the clean-up.
            for stop_signal in (signal.SIGINT, signal.SIGTERM):
                signal.signal(stop_signal, signal.default_int_handler)
            _print_connections(sandbox)
            threading.Event().wait()
    except KeyboardInterrupt:
        pass
    except OSError as error:
        parser.error(_bind_error(error, options.host, options.port))
    return 0


def _print_connections(sandbox: Sandbox) -> None:
    names = ", ".join(vendor.name for vendor in vendors())
    print(f"Simulating {names} on {sandbox.url} (control API: {sandbox.url}{PREFIX}); Ctrl-C stops it.")
    for vendor in vendors():
        connection = shlex.quote(json.dumps(sandbox.airflow_connection(vendor.name)))
        print(f"AIRFLOW_CONN_{vendor.name.upper()}_DEFAULT={connection}")
    sys.stdout.flush()


def _bind_error(error: OSError, host: str, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port {port} of {host} is taken; choose another with --port, or 0 for any free one"
    return f"cannot serve on port {port} of {host}: {error.strerror}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m airflow_import_progress.sandbox",
        description="Simulate vendors' import APIs on loopback.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--host", default="127.0.0.1", help="loopback IPv4 address to serve on")
    parser.add_argument("--port", type=_port, default=8765, help="port to serve on; 0: any free one")
    parser.add_argument(
        "--import-duration",
        type=_seconds,
        default=DEFAULT_IMPORT_DURATION,
        help="default duration of an import in seconds",
    )
    for name, (vendor, credential) in credential_options().items():
        parser.add_argument(
            f"--{name.replace('_', '-')}", default=vendor.credentials[credential], help="accepted credential"
        )
    parser.add_argument("--rate-limits", action="store_true", help="enforce the rate limits that the vendors publish")
    parser.add_argument("--verbose", action="store_true", help="write a line for each request to stderr")
    return parser


def _port(text: str) -> int:
    if text.isdecimal() and int(text) < 65536:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is not a port from 0 to 65535")


def _seconds(text: str) -> float:
    try:
        return require_number(float(text), "duration", minimum=0)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds from 0 on") from None


if __name__ == "__main__":
    sys.exit(main())
