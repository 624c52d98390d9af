"""A terminal on which no text that came out of a file acts."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.text import Text

from nnexp._errors import printable


class Terminal(Console):
    """rich's console, on which each text is shown as it is: it colours and moves nothing by itself."""

    def render_str(self, text: str, **settings: Any) -> Text:
        """Turn a text with rich's marks into what is shown."""
        return super().render_str(printable(text), **settings)
