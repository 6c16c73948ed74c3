"""tf.contrib.learn.datasets: small data sets by name, and CSV files."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from graphflow.data import mnist
from graphflow.missing import names_of


class Dataset(NamedTuple):
    """Rows and what is to be predicted of them."""

    data: Any
    target: Any


class Datasets(NamedTuple):
    """Three parts of a data set."""

    train: Any
    validation: Any
    test: Any


def load_csv_with_header(filename, target_dtype, features_dtype, target_column=-1):
    """A CSV file whose first line tells the number of rows and of features."""
    with Path(filename).open(newline="") as file:
        rows = csv.reader(file)
        header = next(rows)
        data = np.zeros((int(header[0]), int(header[1])), features_dtype)
        target = np.zeros((int(header[0]),), target_dtype)
        for number, row in enumerate(rows):
            target[number] = np.asarray(row.pop(target_column), target_dtype)
            data[number] = np.asarray(row, features_dtype)
    return Dataset(data, target)


def load_csv_without_header(filename, target_dtype, features_dtype, target_column=-1):
    """A CSV file of rows only."""
    data, target = [], []
    with Path(filename).open(newline="") as file:
        for row in csv.reader(file):
            target.append(row.pop(target_column))
            data.append(np.asarray(row, features_dtype))
    return Dataset(np.array(data), np.array(target, target_dtype))


def load_mnist(train_dir="MNIST-data"):
    """The handwritten digits."""
    return mnist.read_data_sets(train_dir)


DATASETS = {"mnist": load_mnist}


def load_dataset(name, size="small", test_with_fake_data=False):
    """A data set by name."""
    if name not in DATASETS:
        raise ValueError(f"Name of dataset is not found: {name}")
    return DATASETS[name]()


globals()["__getattr__"] = names_of("contrib.learn.datasets")
