"""`tf.strings`."""

from graphflow.ops.strings import as_string
from graphflow.ops.strings import string_join as join
from graphflow.ops.strings import string_to_number as to_number
from graphflow.ops.watching import string_format as format

__all__ = ["as_string", "format", "join", "to_number"]
