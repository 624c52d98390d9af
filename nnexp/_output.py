"""What is said: on a terminal, in a pipe, or where nobody listens.

What was computed matters more than what is said of it: an output that is full, closed or cannot show a character stops nothing,
and no text that came out of a file acts on a terminal.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator

from nnexp._errors import printable

TYPE_CHECKING = False  # typing itself takes as long to load as all the rest of a command that only says something
if TYPE_CHECKING:
    from typing import Any


class Stream:
    """A stream that goes on when it cannot be written to.

    Parameters
    ----------
    stream : file or None
        None where it is closed.
    plain : bool
        Whether what a terminal would act on is shown instead.

    Attributes
    ----------
    problem : Exception or None
        Why it can no longer be written to.
    """

    def __init__(self, stream: Any, plain: bool) -> None:
        self._stream, self._plain = stream, plain
        self.problem: Exception | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    @property
    def encoding(self) -> str:
        """Its encoding."""
        return getattr(self._stream, "encoding", None) or "utf-8"

    def isatty(self) -> bool:
        """Whether it is a terminal."""
        with contextlib.suppress(ValueError, AttributeError):  # it is closed, or there is none
            return bool(self._stream.isatty())
        return False

    def write(self, text: str) -> int:
        """Write what can be written."""
        if self._stream is not None and self.problem is None:
            shown = printable(text) if self._plain else text
            try:
                try:
                    self._stream.write(shown)
                except UnicodeEncodeError:
                    self._stream.write(shown.encode(self.encoding, errors="replace").decode(self.encoding))
            except (OSError, ValueError) as error:
                self.problem = error
        return len(text)

    def flush(self) -> None:
        """Hand over what was written."""
        if self._stream is not None and self.problem is None:
            try:
                self._stream.flush()
            except (OSError, ValueError) as error:
                self.problem = error


@contextlib.contextmanager
def outlasting_output() -> Iterator[Stream]:
    """Put streams that go on in the place of standard output and standard error; give the first one."""
    before = sys.stdout, sys.stderr
    output = Stream(before[0], plain=False)
    sys.stdout, sys.stderr = output, Stream(before[1], plain=True)
    try:
        yield output
    finally:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        sys.stdout, sys.stderr = before


def emit(text: str, end: str = "\n") -> None:
    """Print data for other programs as they are; on a terminal, where it is looked at, as what can be shown."""
    print(printable(text) if sys.stdout.isatty() else text, end=end)
