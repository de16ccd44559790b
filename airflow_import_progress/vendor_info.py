# SPDX-License-Identifier: Apache-2.0
"""
The vendors of other packages, which register them with an entry point.

It imports no Airflow, because the help of the command appears at once, and the sandbox needs no Airflow.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Any

#: The group of entry points. Each leads to a :class:`VendorInfo`.
ENTRY_POINT_GROUP = "airflow_import_progress.vendors"
#: The path of a class, such as ``acme_imports.sandbox:Acme``.
CLASS_PATH = re.compile(r"\w+(\.\w+)*:\w+")

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Argument:
    """
    Describe an argument of a sensor that the command takes as well.

    :param name: Its name, as the sensor has it.
    :param help: Its description in the help.
    :param read: Reads its value from the text on the command line. None: it is a flag.
    :param choices: The values that are allowed. None: any.
    """

    name: str
    help: str
    read: Callable[[str], Any] | None = str
    choices: tuple[str, ...] | None = None

    @property
    def option(self) -> str:
        """The option's name, such as ``--job-id``."""
        return f"--{self.name.replace('_', '-')}"


@dataclass(frozen=True, kw_only=True)
class Kind:
    """
    Describe a kind of import that can be watched.

    :param name: Its name on the command line.
    :param description: Its description in the help.
    :param sensor: The sensor of such imports, as ``module:class``.
    :param identifier: The argument that names the one import.
    :param options: The other arguments: for the import and for the gate.
    :param needs_identifier: Whether the import cannot be polled without the identifier.
    """

    name: str
    description: str
    sensor: str
    identifier: Argument
    options: tuple[Argument, ...] = ()
    needs_identifier: bool = True


MAX_FAILED_RECORDS = Argument(
    name="max_failed_records", read=int, help="fail if more records than this could not be imported, from 0"
)
MIN_SUCCESS_RATE = Argument(
    name="min_success_rate",
    read=float,
    help="fail if a smaller share of the processed records than this was imported, in percent: 0, or above 1 up to 100",
)
MIN_RECORDS = Argument(name="min_records", read=int, help="fail if fewer records than this were imported, from 1")
ON_ACTION_REQUIRED = Argument(
    name="on_action_required",
    choices=("wait", "fail"),
    help="what to do while the vendor waits for somebody to act (default: wait)",
)


@dataclass(frozen=True, kw_only=True)
class VendorInfo:
    """
    Describe the vendor of another package to the command and to the sandbox.

    :param kinds: The kinds of import that the command can watch.
    :param sandbox: The class of the simulated vendor, as ``module:class``. None: there is none.
    :raises TypeError: if a value has another type.
    """

    kinds: tuple[Kind, ...] = ()
    sandbox: str | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.kinds, tuple) or not all(isinstance(kind, Kind) for kind in self.kinds):
            raise TypeError(f"kinds must be a tuple of Kind, not {self.kinds!r}")
        if self.sandbox is not None and not (isinstance(self.sandbox, str) and CLASS_PATH.fullmatch(self.sandbox)):
            raise TypeError(f"sandbox must be the path of a class, such as 'acme.sandbox:Acme', not {self.sandbox!r}")


@dataclass(frozen=True, kw_only=True)
class InstalledVendor:
    """
    Hold what an entry point has led to.

    :param distribution: The name of the distribution that has the entry point.
    :param info: The vendor.
    """

    distribution: str
    info: VendorInfo

    def leave_out(self, part: str, reason: str) -> str:
        """
        Log that a part of the vendor is left out, and return the message.

        :param part: The part, such as ``"The kind of import 'acme'"``.
        :param reason: The reason, without a full stop.
        """
        return _leave_out(part, self.distribution, reason)


def installed_vendors(left_out: list[str] | None = None) -> list[InstalledVendor]:
    """
    Return the vendors of all entry points. One that cannot be used is logged and left out.

    :param left_out: A list to which the messages about those are added. None: they are only logged.
    """
    found, messages = [], [] if left_out is None else left_out
    # In an order that does not depend on the installation, because of two equal names the first one counts.
    for entry_point in sorted(entry_points(group=ENTRY_POINT_GROUP), key=lambda it: (_distribution(it), it.name)):
        part, distribution = f"The vendor {entry_point.name!r} ({entry_point.value})", _distribution(entry_point)
        try:
            info = entry_point.load()
        except Exception as error:
            messages.append(_leave_out(part, distribution, in_words(error)))
            continue
        if isinstance(info, VendorInfo):
            found.append(InstalledVendor(distribution=distribution, info=info))
        else:
            messages.append(_leave_out(part, distribution, f"it is not a VendorInfo, but {type(info).__name__}"))
    return found


def in_words(error: Exception) -> str:
    """Return an error of another package, without a full stop, as the reason in a message."""
    return f"{type(error).__name__}: {error}".rstrip(". ")


def _distribution(entry_point: EntryPoint) -> str:
    return entry_point.dist.name if entry_point.dist is not None else "unknown"


def _leave_out(part: str, distribution: str, reason: str) -> str:
    message = (
        f"{part} of the distribution {distribution!r} is left out: {reason}. Update or uninstall this distribution, or "
        f"report it to its authors."
    )
    # Without a configuration of logging, as in the commands, Python writes it to the standard error.
    log.warning("%s Everything else works.", message)
    return message
