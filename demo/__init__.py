# SPDX-License-Identifier: Apache-2.0
"""Run a real Airflow on this machine, for the demo, the UI and the end-to-end tests."""
