# SPDX-License-Identifier: Apache-2.0
"""Sensors: what people put into DAGs."""
