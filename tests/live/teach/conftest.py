"""The clips that the workshop's steps are tried on."""

from __future__ import annotations

from tests.footage import clip, dark, home, one_finder, pictures, seen, two

__all__ = ["clip", "dark", "home", "one_finder", "pictures", "seen", "two"]
