# SPDX-License-Identifier: Apache-2.0
"""One HTTP exchange with a vendor, and its two transports: requests and aiohttp."""
