# SPDX-License-Identifier: Apache-2.0
"""Airflow hooks and deferrable sensors that wait until a vendor's bulk import is really done."""

from __future__ import annotations

__version__ = "0.1.0"
