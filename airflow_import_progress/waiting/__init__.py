# SPDX-License-Identifier: Apache-2.0
"""The rules of a wait, shared by the sensors on a worker, the triggers and the command."""
