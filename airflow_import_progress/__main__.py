# SPDX-License-Identifier: Apache-2.0
"""The command ``python -m airflow_import_progress``, the same as ``airflow-import-progress``."""

from __future__ import annotations

import sys

from airflow_import_progress.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
