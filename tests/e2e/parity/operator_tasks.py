# SPDX-License-Identifier: Apache-2.0
"""The tasks of operators: one for each behavior, mode and flag. The DAGs, the fixtures and the tests import them."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

from tests.support.behaviors import LIMITED_CONN_ID, OPERATOR_BEHAVIORS, OPERATOR_MODES, Behavior, import_id_of

FLAGS = ("none", "soft_fail")

#: The connection of Lucca's operators: the polls of the sensors are as many as its limit allows.
LUCCA_CONN_ID = "lucca_operators"


@dataclass(frozen=True)
class OperatorTask:
    """
    One task.

    :param name: The name of the behavior.
    :param mode: The mode of the operator.
    :param flag: Its flag.
    """

    name: str
    mode: str
    flag: str

    @property
    def task_id(self) -> str:
        """The id of the task."""
        return f"operator-{self.mode}-{self.flag}"

    @property
    def behavior(self) -> Behavior:
        """The behavior."""
        return OPERATOR_BEHAVIORS[self.name]

    @property
    def import_id(self) -> str:
        """The id that the import will have, which is a part of the file's name."""
        return import_id_of(self.name, self.mode, self.flag, is_started=True)

    @property
    def connection(self) -> dict[str, str]:
        """The argument with the connection, if it is not that of the sensors."""
        vendor, _ = self.behavior.imported
        if vendor == "rocketchat":
            return {"rocketchat_conn_id": f"rocketchat_{self.import_id}"}
        if vendor == "lucca" and self.behavior.arguments.get("lucca_conn_id") != LIMITED_CONN_ID:
            return {"lucca_conn_id": LUCCA_CONN_ID}
        return {}

    @property
    def has_own_vendor(self) -> bool:
        """Whether it needs a vendor of its own: a workspace of Rocket.Chat has one import at a time."""
        return self.behavior.imported[0] == "rocketchat"


OPERATOR_TASKS = tuple(
    OperatorTask(name, mode, flag) for name, mode, flag in product(OPERATOR_BEHAVIORS, OPERATOR_MODES, FLAGS)
)
