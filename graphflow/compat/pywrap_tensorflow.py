"""The names of tensorflow.python.pywrap_tensorflow that programs use: writing event files and reading checkpoints."""

from graphflow.io.events import EventsWriter
from graphflow.train import NewCheckpointReader

__all__ = ["EventsWriter", "NewCheckpointReader"]
