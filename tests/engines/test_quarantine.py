"""Quarantine: what a stranger's file does in there is told in one line; what passed is not opened a second time."""

from __future__ import annotations
