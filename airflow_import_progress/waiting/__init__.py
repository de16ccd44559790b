# SPDX-License-Identifier: Apache-2.0
"""The rules of a wait, whoever runs it: a sensor on a worker, a trigger, or the command."""
