"""tf.contrib.learn.preprocessing and tf.contrib.tensorboard: the expected rows and files are those of real TensorFlow 1.15."""

from __future__ import annotations

import pickle
import sys
from pathlib import Path

import numpy as np
import pytest

import graphflow as tf
from graphflow.contrib.learn import preprocessing
from graphflow.contrib.tensorboard.plugins import projector

TEXTS = ["The dog's TensorFlow ran", "a dog, a DOG and re-runs of NASA's dog", ""]


def test_words_are_numbered_as_they_are_met() -> None:
    processor = preprocessing.VocabularyProcessor(7)
    rows = np.array(list(processor.fit_transform(TEXTS)))
    assert rows.dtype == np.int64
    assert rows.tolist() == [[1, 2, 3, 4, 5, 0, 0], [6, 7, 6, 8, 9, 10, 11], [0] * 7]
    assert len(processor.vocabulary_) == 14
    assert next(processor.reverse(rows)) == "The dog's Tensor Flow ran <UNK> <UNK>"
    assert next(processor.transform(["dog bird"])).tolist() == [7, 0, 0, 0, 0, 0, 0]


def test_rare_words_are_forgotten() -> None:
    processor = preprocessing.VocabularyProcessor(9, min_frequency=1, tokenizer_fn=lambda texts: (t.lower().split() for t in texts))
    rows = list(processor.fit_transform(["b b a c a d", "d e"]))
    assert rows[0].tolist() == [2, 2, 1, 0, 1, 3, 0, 0, 0]
    assert processor.vocabulary_._mapping == {"<UNK>": 0, "a": 1, "b": 2, "d": 3}


def test_very_frequent_words_are_forgotten() -> None:
    words = preprocessing.CategoricalVocabulary(support_reverse=False)
    for word in "xyyzzz":
        words.add(word)
    words.trim(0, 3)
    assert words._mapping == {"<UNK>": 0, "y": 1, "x": 2}
    with pytest.raises(ValueError, match="support_reverse"):
        words.reverse(1)


def test_a_processor_is_saved(tmp_path: Path) -> None:
    processor = preprocessing.VocabularyProcessor(3).fit(TEXTS)
    processor.save(str(tmp_path / "vocab"))
    again = preprocessing.VocabularyProcessor.restore(str(tmp_path / "vocab"))
    assert again.vocabulary_._mapping == processor.vocabulary_._mapping
    assert next(again.transform(["of a dog"])).tolist() == [11, 6, 7]


def test_a_pickle_of_tensorflow_is_read(tmp_path: Path) -> None:
    """TensorFlow's pickles name the module of the class; the import hook finds it here."""
    data = pickle.dumps(preprocessing.VocabularyProcessor(3).fit(TEXTS), protocol=0)
    theirs = b"tensorflow.contrib.learn.python.learn.preprocessing."
    for name, module in (("VocabularyProcessor", b"text"), ("tokenizer", b"text"), ("CategoricalVocabulary", b"categorical_vocabulary")):
        ours = b"graphflow.contrib.learn.preprocessing." + module
        data = data.replace(ours + b"\n" + name.encode(), theirs + module + b"\n" + name.encode())
    assert data.count(theirs) == 3
    (tmp_path / "vocab").write_bytes(data)
    from graphflow import compat

    compat.install()
    try:
        again = preprocessing.VocabularyProcessor.restore(str(tmp_path / "vocab"))
    finally:
        compat.uninstall()
        assert "tensorflow" not in sys.modules
    assert next(again.transform(["of a dog"])).tolist() == [11, 6, 7]


def test_bytes() -> None:
    processor = preprocessing.ByteProcessor(4)
    rows = list(processor.fit_transform(["hi", b"longer", "Ö"]))
    assert [r.tolist() for r in rows] == [[104, 105, 0, 0], [108, 111, 110, 103], [195, 150, 0, 0]]
    assert list(processor.reverse(rows)) == ["hi", "long", "Ö"]


def test_embeddings_for_the_projector(tmp_path: Path) -> None:
    config = projector.ProjectorConfig(model_checkpoint_path="model.ckpt")
    shown = config.embeddings.add()
    shown.tensor_name = "words"
    shown.metadata_path = "words.tsv"
    shown.sprite.image_path = "all.png"
    shown.sprite.single_image_dim.extend([28, 28])
    projector.visualize_embeddings(tf.summary.FileWriter(str(tmp_path)), config)
    assert (tmp_path / "projector_config.pbtxt").read_text() == (
        'model_checkpoint_path: "model.ckpt"\nembeddings {\n  tensor_name: "words"\n  metadata_path: "words.tsv"\n'
        '  sprite {\n    image_path: "all.png"\n    single_image_dim: 28\n    single_image_dim: 28\n  }\n}\n'
    )
