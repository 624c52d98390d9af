"""Tables of any kind become finite numbers on one scale; y is never looked at."""

from nnexp.encoding.columns import as_given
from nnexp.encoding.encoder import Encoder, lay_out, learn
from nnexp.encoding.layout import ColumnLayout, Layout, Rules
from nnexp.encoding.table_encoder import (
    ENCODINGS,
    TableEncoder,
    check_encoding,
    encoder_named,
    fitted,
    kinds_of,
    rules_of,
)

__all__ = [
    "ENCODINGS",
    "ColumnLayout",
    "Encoder",
    "Layout",
    "Rules",
    "TableEncoder",
    "as_given",
    "check_encoding",
    "encoder_named",
    "fitted",
    "kinds_of",
    "lay_out",
    "learn",
    "rules_of",
]
