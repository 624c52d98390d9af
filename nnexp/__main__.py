"""Where the nnexp command begins. Nothing is loaded before signals are heeded: loading takes seconds."""

from __future__ import annotations

import atexit
import contextlib
import os
import sys

from nnexp._signals import ignore, leave_at_once, stop_in_order


def main() -> int:
    """Run the command; return its exit status."""
    leave_at_once()
    atexit.register(ignore)  # the first one registered is the last one called
    _fill_standard_streams()
    os.environ["PYTHONSAFEPATH"] = "1"  # processes that are started load nothing from the folder they happen to be in
    from nnexp.cli import main as command

    stop_in_order()
    try:
        return command()
    finally:
        leave_at_once()  # what comes now is Python's own end
        _let_go_of_output()


def _fill_standard_streams() -> None:
    """Open what is closed of the three standard streams, so that no file of ours takes its number and is written to."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # other processes need it too


def _let_go_of_output() -> None:
    """Keep Python from failing at its end on an output that nobody reads."""
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except (OSError, ValueError):
            with contextlib.suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


if __name__ == "__main__":
    sys.exit(main())
