"""numba's compiler with the options that everything here has: without the GIL, and what was compiled is kept."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import cache
from typing import Any

from numba import njit

_log = logging.getLogger("doppelcam.compiled")


def compiled(signature: Any = None, **options: Any) -> Callable[[Callable[..., Any]], Any]:
    """Decorates a function as numba.njit does; with a `signature` it is compiled at once. Compiled code lies beside
    the source or in the user's cache; where neither can be written to, everything is compiled anew at each start, and
    that is said once.
    """
    common: dict[str, Any] = {"nogil": True, "boundscheck": False, **options}

    def decorate(function: Callable[..., Any]) -> Any:
        try:
            return njit(signature, cache=True, **common)(function)
        except RuntimeError as error:  # all that numba has for it; a function at fault raises something else
            if "cannot cache" not in str(error):
                raise
            _say()
            return njit(signature, **common)(function)

    return decorate


@cache
def _say() -> None:
    _log.warning(
        "compiled code cannot be kept, so that each start takes seconds longer: no folder for it can be written to "
        "(export NUMBA_CACHE_DIR=FOLDER)"
    )
