"""What may go wrong without a fault of nnexp: each has a sentence for the person who can mend it."""

from __future__ import annotations

import errno
import unicodedata

TYPE_CHECKING = False  # typing itself takes as long to load as all the rest of a command that only says something
if TYPE_CHECKING:
    from typing import Any


# Characters of a value that a message quotes at most.
QUOTED = 200
# What a terminal or a reader would act on instead of showing it: controls, and marks that turn the direction of writing.
_ACTED_ON = ("Cc", "Cf", "Cs", "Zl", "Zp")


class ExpectedError(Exception):
    """The base of all errors whose message says what is wrong and how to mend it; a command prints that and no traceback."""


class PathError(ExpectedError, ValueError):
    """A path that no file can have."""


def reason(error: BaseException) -> str:
    """Return why something went wrong, without the path, which the sentence around it names.

    Examples
    --------
    >>> reason(FileNotFoundError(2, "No such file or directory", "/nowhere"))
    'No such file or directory'
    """
    if isinstance(error, OSError) and error.strerror:
        return str(error.strerror)
    if isinstance(error, UnicodeError):
        return "it is no text in UTF-8"
    return " ".join(str(error).split()).rstrip(".") or type(error).__name__


def quoted(value: Any) -> str:
    """Return a value as a message quotes it: at most 200 characters, and none that a terminal acts on.

    Examples
    --------
    >>> quoted("tanh")
    "'tanh'"
    >>> len(quoted("x" * 1000))
    200
    """
    try:
        text = printable(repr(value))
    except RecursionError:
        return "something nested too deeply"
    return text if len(text) <= QUOTED else f"{text[: QUOTED - 2]}…{text[-1]}"


def shortened(text: str) -> str:
    """Return the message of another library, which may quote a value in full, with its end left out where it is very long.

    Examples
    --------
    >>> len(shortened("x" * 10_000))
    600
    """
    return text if len(text) <= 3 * QUOTED else f"{text[: 3 * QUOTED - 1]}…"


def printable(text: str) -> str:
    r"""Return a text with each character that a terminal acts on as its escape; the ends of lines stay.

    Examples
    --------
    >>> printable("a\x1b[31mred")
    'a\\x1b[31mred'
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(_visible(character) for character in text)


def _visible(character: str) -> str:
    if character in "\n\t" or unicodedata.category(character) not in _ACTED_ON:
        return character
    return character.encode("unicode_escape").decode("ascii")


def is_of_the_machine(error: BaseException | None) -> bool:
    """Whether an error tells of the machine and not of the work: a lack of memory, a disk, a time-out.

    Such an error is no result: the same work may well succeed the next time.

    Examples
    --------
    >>> is_of_the_machine(MemoryError()), is_of_the_machine(ValueError("NaN"))
    (True, False)
    """
    seen = 0
    while error is not None and seen < 20:
        if isinstance(error, MemoryError | TimeoutError | ConnectionError):
            return True
        if any(cls.__name__ == "BrokenExecutor" for cls in type(error).__mro__):  # of concurrent.futures, slow to load
            return True
        if type(error).__name__ == "KilledWorker" or "can't start new thread" in str(error):  # Dask's; Python's own
            return True
        if isinstance(error, OSError) and error.errno in _OF_THE_MACHINE:
            return True
        error = error.__cause__
        seen += 1
    return False


_OF_THE_MACHINE = {
    errno.ENOMEM, errno.EAGAIN, errno.EIO, errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.EINTR, errno.EROFS,
}  # fmt: skip
