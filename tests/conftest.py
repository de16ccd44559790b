# SPDX-License-Identifier: Apache-2.0
"""What all tests share: an Airflow home of their own, and a clock that does not wait."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile

# Airflow reads its home when it is imported first, and must not touch the developer's own.
if "AIRFLOW_HOME" not in os.environ:
    os.environ["AIRFLOW_HOME"] = home = tempfile.mkdtemp(prefix="airflow-home-")
    atexit.register(shutil.rmtree, home, ignore_errors=True)
os.environ.setdefault("AIRFLOW__CORE__LOAD_EXAMPLES", "False")
os.environ.setdefault("AIRFLOW__CORE__UNIT_TEST_MODE", "True")
