"""tf.signal (and tf.spectral): Fourier transforms."""

from typing import Any

from graphflow.graph.build import convert_to_tensor, name_scope
from graphflow.missing import names_of
from graphflow.ops.fourier import fft, fft2d, fft3d, ifft, ifft2d, ifft3d, irfft, irfft2d, irfft3d, rfft, rfft2d, rfft3d
from graphflow.ops.ordering import roll

__all__ = [
    "fft", "fft2d", "fft3d", "fftshift", "ifft", "ifft2d", "ifft3d", "ifftshift", "irfft", "irfft2d", "irfft3d", "rfft", "rfft2d", "rfft3d",
]  # fmt: skip


globals()["__getattr__"] = names_of("signal")


def _moved(x: Any, axes: Any, scope: str, back: bool) -> Any:
    dims = x.shape.as_list()
    chosen = list(range(len(dims))) if axes is None else [axes] if isinstance(axes, int) else list(axes)
    return roll(x, [-(dims[a] // 2) if back else dims[a] // 2 for a in chosen], chosen, name=scope)


def fftshift(x, axes=None, name=None):
    """The element of frequency zero moved to the middle of all axes, or of those given."""
    with name_scope(name, "fftshift") as scope:
        return _moved(convert_to_tensor(x), axes, scope, False)


def ifftshift(x, axes=None, name=None):
    """The inverse of fftshift."""
    with name_scope(name, "ifftshift") as scope:
        return _moved(convert_to_tensor(x), axes, scope, True)
