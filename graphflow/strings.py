"""`tf.strings`."""

from graphflow.missing import names_of
from graphflow.ops.strings import as_string
from graphflow.ops.strings import string_join as join
from graphflow.ops.strings import string_to_number as to_number
from graphflow.ops.text import reduce_join, regex_full_match, regex_replace, substr
from graphflow.ops.text import string_length as length
from graphflow.ops.text import string_lower as lower
from graphflow.ops.text import string_split_v2 as split
from graphflow.ops.text import string_strip as strip
from graphflow.ops.text import string_to_hash_bucket as to_hash_bucket
from graphflow.ops.text import string_to_hash_bucket_fast as to_hash_bucket_fast
from graphflow.ops.text import string_upper as upper
from graphflow.ops.watching import string_format as format

__all__ = [
    "as_string", "format", "join", "length", "lower", "reduce_join", "regex_full_match", "regex_replace", "split", "strip", "substr",
    "to_hash_bucket", "to_hash_bucket_fast", "to_number", "upper",
]  # fmt: skip

globals()["__getattr__"] = names_of("strings")
