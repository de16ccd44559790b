# SPDX-License-Identifier: Apache-2.0
"""Imports in a real Airflow on this machine, to watch and to play with."""
