# SPDX-License-Identifier: Apache-2.0
"""The button on a waiting task that leads to the import at the vendor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_import_progress.compat import BaseOperatorLink, stored_link

if TYPE_CHECKING:
    from airflow_import_progress.compat import BaseOperator


class ImportLink(BaseOperatorLink):
    """
    Lead from a sensor's task to the vendor's page of its import.

    There is no such button where no page is known: see
    :meth:`~airflow_import_progress.hooks.base.ImportProgressHook.import_url`.
    """

    name = "Import at the vendor"
    #: The XCom of the task under which the page's address is stored, as a plain text; empty: no page is known.
    xcom_key = "_link_ImportLink"

    def get_link(self, operator: BaseOperator, *, ti_key: Any) -> str:
        """
        Return the page's address, or an empty text if none is known.

        On a worker of Airflow 3, which stores it, it comes from the sensor; in the webserver of Airflow 2, which has
        no sensors, from where the sensor has stored it.

        :param operator: The sensor, or what the webserver has in its place.
        :param ti_key: The task instance.
        """
        import_url = getattr(operator, "import_url", None)
        # Not None: Airflow 3.3 makes a link to "None" of it.
        return (import_url() if import_url else stored_link(ti_key, self.xcom_key)) or ""
