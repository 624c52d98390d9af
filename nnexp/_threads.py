"""Linear algebra on one thread."""

from __future__ import annotations

import sys
from typing import Any

from threadpoolctl import ThreadpoolController

_controller: ThreadpoolController | None = None
_modules = 0


def one_thread(everything: bool = False) -> Any:
    """Hold the linear algebra to one thread: small products gain nothing from more, and results stay the same.

    Parameters
    ----------
    everything : bool, default=False
        Whether to hold OpenMP too, as where other estimators are fitted: processes share the cores.
    """
    global _controller, _modules
    # Looking for the libraries takes milliseconds; there are new ones only where modules have been loaded since.
    if _controller is None or (everything and len(sys.modules) != _modules):
        _controller, _modules = ThreadpoolController(), len(sys.modules)
    return _controller.limit(limits=1, user_api=None if everything else "blas")
