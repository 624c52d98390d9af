"""Markdown that shows what it is given: no name and no question becomes a link, a picture or a heading."""

from __future__ import annotations

import re
from typing import Any

from nnexp._errors import printable

# What Markdown would make something of: code, emphasis, links, cells, struck-out words, formulas; addresses, which GitHub links by
# themselves; and at the beginning of a line a heading, a list, a quotation.
_MARKS = re.compile(
    r"[\\`*\[\]|~$]|(?<!\w)_|_(?!\w)|(?<=:)//|(?<=www)\."
    r"|^(?:>|#{1,6}(?=\s|$)|[+-](?=\s)|[=-]+$|\d{1,9}(?=[.)](?:\s|$)))"
)


def plain(text: Any) -> str:
    """Return a text that Markdown shows as it is: whatever names and questions hold."""
    line = printable(" ".join(str(text).split())).replace("&", "&amp;").replace("<", "&lt;")
    return _MARKS.sub(_escaped, line)


def _escaped(match: re.Match[str]) -> str:
    if match[0] == "//":
        return r"\/\/"
    if match[0].isdigit():  # of a numbered list
        return f"{match[0]}\\"
    return f"\\{match[0]}"


def code(text: Any) -> str:
    """Return a text as code of Markdown, between more backticks than it holds in a row."""
    line = printable(" ".join(str(text).split()))
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", line)), default=0))
    inner = f" {line} " if "`" in line or not line else line
    return f"{fence}{inner}{fence}"
