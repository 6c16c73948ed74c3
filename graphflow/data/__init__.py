"""Data sets: MNIST in its own format, CIFAR-10, and the small digits that the package carries."""
