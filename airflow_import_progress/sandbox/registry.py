# SPDX-License-Identifier: Apache-2.0
"""The simulated vendors: those of this package, and those of other packages."""

from __future__ import annotations

import pkgutil
from functools import cache

from aiohttp import web

from airflow_import_progress.sandbox.leadsy import Leadsy
from airflow_import_progress.sandbox.lucca import Lucca
from airflow_import_progress.sandbox.rocketchat import RocketChat
from airflow_import_progress.sandbox.vendor import Vendor
from airflow_import_progress.sandbox.zilliz import Zilliz
from airflow_import_progress.vendor_info import in_words, installed_vendors

_BUILT_IN: tuple[Vendor, ...] = (Lucca(), RocketChat(), Zilliz(), Leadsy())


def vendors() -> tuple[Vendor, ...]:
    """Return the simulated vendors. One of another package that cannot be used is logged and left out."""
    return _read()[0]


def left_out() -> tuple[str, ...]:
    """Return a message for each vendor of another package that is left out."""
    return _read()[1]


@cache
def _read() -> tuple[tuple[Vendor, ...], tuple[str, ...]]:
    found = {vendor.name: vendor for vendor in _BUILT_IN}
    messages: list[str] = []
    for installed in installed_vendors(messages):
        if (path := installed.info.sandbox) is None:
            continue
        try:
            vendor = _vendor(path)
            if vendor.name in found:
                raise ValueError(f"another simulated vendor is named {vendor.name!r}")  # noqa: TRY301
        except Exception as error:
            messages.append(installed.leave_out(f"The simulated vendor {path!r}", in_words(error)))
        else:
            found[vendor.name] = vendor
    return tuple(found.values()), tuple(messages)


def credential_options() -> dict[str, tuple[Vendor, str]]:
    """Return the options that set credentials, such as ``lucca_api_key``, with their vendor and credential."""
    return {
        f"{vendor.name}_{credential}": (vendor, credential) for vendor in vendors() for credential in vendor.credentials
    }


def _vendor(path: str) -> Vendor:
    vendor = pkgutil.resolve_name(path)()
    if not isinstance(vendor, Vendor):
        raise TypeError("it is not a Vendor")
    # It becomes a part of options and of environment variables.
    if not vendor.name.isidentifier():
        raise ValueError(f"its name {vendor.name!r} must consist of letters, digits and underscores")
    # Called here too, so that an error does not break the sandbox for the others.
    web.Application().add_routes(vendor.routes())
    if not vendor.kinds or "conn_type" not in vendor.airflow_connection(vendor.credentials):
        raise ValueError("its kinds are empty, or its airflow_connection() returns no conn_type")
    return vendor
