# SPDX-License-Identifier: Apache-2.0
"""An Airflow home for the tests."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile

# Set here, because Airflow reads its home on import and must not use the developer's.
if "AIRFLOW_HOME" not in os.environ:
    os.environ["AIRFLOW_HOME"] = home = tempfile.mkdtemp(prefix="airflow-home-")
    atexit.register(shutil.rmtree, home, ignore_errors=True)
os.environ.setdefault("AIRFLOW__CORE__LOAD_EXAMPLES", "False")
os.environ.setdefault("AIRFLOW__CORE__UNIT_TEST_MODE", "True")
