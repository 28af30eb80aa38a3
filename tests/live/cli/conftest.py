"""The clips that teaching is tried on."""

from __future__ import annotations

from tests.footage import clip, dark, home, one_finder, pictures, two

__all__ = ["clip", "dark", "home", "one_finder", "pictures", "two"]
