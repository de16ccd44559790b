# SPDX-License-Identifier: Apache-2.0
"""The errors of a sensor that become skips, alike in all modes and all versions of Airflow."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from airflow_import_progress.compat import (
    AirflowFailException,
    AirflowRescheduleException,
    AirflowSensorTimeout,
    AirflowSkipException,
    AirflowTaskTimeout,
)
from airflow_import_progress.exceptions import ImportStartRefusedError, ImportStartUnknownError


@contextmanager
def skipping(*, soft_fail: bool, never_fail: bool) -> Iterator[None]:
    """
    Turn errors into skips.

    :param soft_fail: Whether to skip a wait that failed or timed out.
    :param never_fail: Whether to skip after any error.
    :raises AirflowSkipException: in place of such an error.
    """
    argument = "soft_fail" if soft_fail else "never_fail"
    try:
        yield
    except (ImportStartRefusedError, ImportStartUnknownError) as error:
        # Not an outcome of an import: soft_fail must not hide a wrong key, or an import that may run.
        if never_fail:
            raise _skip(error, argument) from error
        raise
    except (AirflowSensorTimeout, AirflowTaskTimeout, AirflowFailException) as error:
        if soft_fail or never_fail:
            raise _skip(error, argument) from error
        raise
    except (AirflowSkipException, AirflowRescheduleException):
        raise
    except Exception as error:
        if never_fail:
            raise _skip(error, argument) from error
        raise


def _skip(error: BaseException, argument: str) -> AirflowSkipException:
    return AirflowSkipException(f"Skipped because {argument}=True: {error}")
