# SPDX-License-Identifier: Apache-2.0
"""What demo, tests and benchmarks share: a local Airflow, a PostgreSQL and a client of Airflow's REST API."""
