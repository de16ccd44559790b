# SPDX-License-Identifier: Apache-2.0
"""The button on a waiting task that opens the import at the vendor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_import_progress.compat import BaseOperatorLink, stored_link

if TYPE_CHECKING:
    from airflow_import_progress.compat import BaseOperator


class ImportLink(BaseOperatorLink):
    """
    Link a sensor's task to the vendor's page of its import.

    The button is missing if no page is known: see
    :meth:`~airflow_import_progress.hooks.base.ImportProgressHook.import_url`.
    """

    name = "Import at the vendor"
    #: The key of the XCom that stores the page's address; an empty text means that no page is known.
    xcom_key = "_link_ImportLink"

    def get_link(self, operator: BaseOperator, *, ti_key: Any) -> str:
        """
        Return the page's address, or an empty text if none is known.

        A worker of Airflow 3 calls this with the sensor and stores the result. The webserver of Airflow 2 has no sensor
        and reads the address that the sensor has stored.

        :param operator: The sensor, or its serialized form in the webserver.
        :param ti_key: The key of the task instance.
        """
        import_url = getattr(operator, "import_url", None)
        # Never return None, which Airflow 3.3 turns into a link to "None".
        return (import_url() if import_url else stored_link(ti_key, self.xcom_key)) or ""
