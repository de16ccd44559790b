# SPDX-License-Identifier: Apache-2.0
"""The triggers: one wait on the event loop of the triggerer."""
