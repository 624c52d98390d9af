"""Linear algebra on one thread."""

from __future__ import annotations

from typing import Any

from threadpoolctl import ThreadpoolController

_controller: ThreadpoolController | None = None


def one_thread() -> Any:
    """Hold the linear algebra to one thread: small products gain nothing from more, and results stay the same."""
    global _controller
    if _controller is None:
        _controller = ThreadpoolController()
    return _controller.limit(limits=1, user_api="blas")
