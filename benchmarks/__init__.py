# SPDX-License-Identifier: Apache-2.0
"""What waiting costs, measured beside what others offer for it. ``make bench`` runs it."""
