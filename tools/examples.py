# SPDX-License-Identifier: Apache-2.0
"""The example DAGs, and the connections that they use."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from airflow_import_progress.sandbox import Sandbox
from airflow_import_progress.sandbox.registry import vendors

EXAMPLE_DAGS = Path(__file__).resolve().parent.parent / "example_dags"

#: The ids of the example DAGs. Each file has one DAG of the same name.
EXAMPLE_DAG_IDS = frozenset(file.stem for file in EXAMPLE_DAGS.glob("*.py"))


def connections_to(sandbox: Sandbox) -> dict[str, Mapping[str, Any]]:
    """
    Return the default connection of each vendor, by connection id.

    :param sandbox: The sandbox to connect to.
    """
    return {f"{vendor.name}_default": sandbox.airflow_connection(vendor.name) for vendor in vendors()}
