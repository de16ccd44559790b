# SPDX-License-Identifier: Apache-2.0
"""Watch for imports into Rocket.Chat."""

from __future__ import annotations

from typing import Any

from airflow_import_progress.hooks.rocketchat import RocketChatHook, RocketChatImports
from airflow_import_progress.vendor import BaseImportEndTrigger


class RocketChatImportEndTrigger(BaseImportEndTrigger):
    """
    Fire for each import into a Rocket.Chat workspace that ends, whoever started it.

    A workspace reports only its last import. One that ends and is replaced between two polls is not seen, so
    ``poke_interval`` must be shorter than the time between the end of an import and the start of the next one.
    Rocket.Chat allows ten requests a minute for each endpoint and address.

    See :class:`~airflow_import_progress.triggers.import_end.BaseImportEndTrigger` for what all such triggers share.

    :param rocketchat_conn_id: The Airflow connection of type ``rocketchat``.
    :param kwargs: ``states`` and ``poke_interval``.
    :raises ValueError: if an argument is not valid; the message names it.
    """

    hook_class = RocketChatHook

    def __init__(self, *, rocketchat_conn_id: str = RocketChatHook.default_conn_name, **kwargs: Any) -> None:
        super().__init__(conn_id=rocketchat_conn_id, import_list=RocketChatImports(), **kwargs)
