"""What ends a command from outside: Ctrl-C, SIGTERM as of a batch system, SIGHUP as of a closed terminal."""

from __future__ import annotations

import os
import signal
import time

TYPE_CHECKING = False  # typing itself takes as long to load as all the rest of a command that only says something
if TYPE_CHECKING:
    from typing import Any


_came, _came_at = signal.SIGINT, -1e9
_is_stopping = False
# Seconds within which signals are one.
_TOGETHER = 5.0


class Stopped(KeyboardInterrupt):
    """A signal asks this process to end; what is finished is kept, as after Ctrl-C."""


def _ending() -> list[signal.Signals]:
    """Return the signals that end a command; SIGHUP is left alone where it is ignored, as under ``nohup``."""
    numbers = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
    return [number for number in numbers if number == signal.SIGINT or signal.getsignal(number) != signal.SIG_IGN]


def leave_at_once() -> None:
    """End the process at a signal, while nothing is begun that could be lost."""

    def leave(number: int, frame: Any) -> None:
        os._exit(128 + number)

    for name in _ending():
        signal.signal(name, leave)


def ignore() -> None:
    """Heed no signal: nothing is left to do but Python's own end, which would give each back its default and die of it."""
    for name in _ending():
        signal.signal(name, signal.SIG_IGN)


def stop_in_order() -> None:
    """Raise `Stopped` at a signal.

    Of several that come within seconds, as a batch system sends them, the first one counts: what it has begun is not to be stopped
    again. A later one counts anew. Where code of others swallows `Stopped`, as a bare ``except`` does, `heed` raises it again.
    """

    def stop(number: int, frame: Any) -> None:
        global _came, _came_at, _is_stopping
        if number != signal.SIGINT and time.monotonic() - _came_at < _TOGETHER:
            return
        _came, _came_at = signal.Signals(number), time.monotonic()
        _is_stopping = True
        raise Stopped

    for name in _ending():
        signal.signal(name, stop)


def heed() -> None:
    """Raise `Stopped` if a signal has come in this process; whoever does piece after piece of work calls this between them."""
    if _is_stopping:
        raise Stopped


def status() -> int:
    """Return the exit status of a command that was stopped: 128 and the number of the signal."""
    return 128 + int(_came)
