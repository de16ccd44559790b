# SPDX-License-Identifier: Apache-2.0
"""The simulated vendors. To add one, write its module and an entry here."""

from __future__ import annotations

from airflow_import_progress.sandbox.leadsy import Leadsy
from airflow_import_progress.sandbox.lucca import Lucca
from airflow_import_progress.sandbox.rocketchat import RocketChat
from airflow_import_progress.sandbox.vendor import Vendor
from airflow_import_progress.sandbox.zilliz import Zilliz

VENDORS: tuple[Vendor, ...] = (Lucca(), RocketChat(), Zilliz(), Leadsy())


def credential_options() -> dict[str, tuple[Vendor, str]]:
    """Return the options that set credentials, such as ``lucca_api_key``, with their vendor and credential."""
    return {
        f"{vendor.name}_{credential}": (vendor, credential) for vendor in VENDORS for credential in vendor.credentials
    }
