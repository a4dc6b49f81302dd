"""Addresses of registered models: models:/NAME@ALIAS or models:/NAME/VERSION."""

from __future__ import annotations

import re

SCHEME = "models:"
REGISTERED = re.compile(r"models:/([^/@]+)(?:@([^/@]+)|/(\d+))")
