# SPDX-License-Identifier: Apache-2.0
"""The button on a waiting task that leads to the import at the vendor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_import_progress.compat import BaseOperatorLink, stored_link

if TYPE_CHECKING:
    from airflow_import_progress.compat import BaseOperator


class ImportLink(BaseOperatorLink):
    """
    Link a sensor's task to the vendor's page of its import.

    The task has no button if no page is known: see
    :meth:`~airflow_import_progress.hooks.base.ImportProgressHook.import_url`.
    """

    name = "Import at the vendor"
    #: The key of the XCom in which the page's address is stored as plain text. Empty: no page is known.
    xcom_key = "_link_ImportLink"

    def get_link(self, operator: BaseOperator, *, ti_key: Any) -> str:
        """
        Return the page's address, or an empty text if none is known.

        A worker of Airflow 3 reads it from the sensor and stores it. The webserver of Airflow 2, which has no sensors,
        reads what the sensor has stored.

        :param operator: The sensor, or the serialized operator of the webserver.
        :param ti_key: The task instance.
        """
        import_url = getattr(operator, "import_url", None)
        # Not None, because Airflow 3.3 would make a link to "None".
        return (import_url() if import_url else stored_link(ti_key, self.xcom_key)) or ""
