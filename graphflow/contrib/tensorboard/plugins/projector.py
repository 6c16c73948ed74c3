"""Which variables of a checkpoint TensorBoard's embedding projector shows, with which labels and pictures.

    config = projector.ProjectorConfig()
    config.embeddings.add(tensor_name="words", metadata_path="words.tsv")
    projector.visualize_embeddings(writer, config)             # writes projector_config.pbtxt beside the event files
"""

from __future__ import annotations

import os
from typing import Any

from graphflow.compat.file_io import write_string_to_file
from graphflow.io.text import to_text
from graphflow.io.wire import Message
from graphflow.missing import names_of

__all__ = ["EmbeddingInfo", "ProjectorConfig", "SpriteMetadata", "visualize_embeddings"]

FILE_NAME = "projector_config.pbtxt"  # TensorBoard looks for it by this name


class SpriteMetadata(Message):
    """One picture that holds a small picture of every row: its file, and the width and height of one."""

    fields = ("1 image_path string", "2 single_image_dim* uint32")


class EmbeddingInfo(Message):
    """An embedding: the name of its variable, or a file of numbers, and the file with the names of its rows."""

    fields = (
        "1 tensor_name string", "2 metadata_path string", "3 bookmarks_path string", "4 tensor_shape* uint32", "5 sprite SpriteMetadata",
        "6 tensor_path string",
    )  # fmt: skip


class ProjectorConfig(Message):
    """All embeddings, and the checkpoint they are in; without one that of the event files' folder."""

    fields = ("1 model_checkpoint_path string", "2 embeddings* EmbeddingInfo", "3 model_checkpoint_dir string")


def visualize_embeddings(summary_writer: Any, config: Any) -> None:
    """Writes `config` into the folder of a FileWriter. ValueError where the writer has none."""
    folder = summary_writer.get_logdir()
    if folder is None:
        raise ValueError("Summary writer must have a logdir: make it with tf.summary.FileWriter(folder)")
    write_string_to_file(os.path.join(folder, FILE_NAME), to_text(config))


globals()["__getattr__"] = names_of("contrib.tensorboard.plugins.projector")
