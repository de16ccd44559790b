# SPDX-License-Identifier: Apache-2.0
"""
Simulated import APIs of vendors on loopback, to try and test imports without an account.

Start it with ``python -m airflow_import_progress.sandbox``, or with :class:`Sandbox` in a test.
"""

from __future__ import annotations

from airflow_import_progress.sandbox.checks import InvalidInputError
from airflow_import_progress.sandbox.server import Sandbox

__all__ = ["InvalidInputError", "Sandbox"]
