"""Data sets: MNIST in its own format, CIFAR-10, and the small digits that the package carries."""

from graphflow.missing import names_of

globals()["__getattr__"] = names_of("data")
