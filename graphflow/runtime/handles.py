"""What a fetched `tf.get_session_handle(...)` gives."""

from __future__ import annotations

from typing import Any


class TensorHandle:
    """Names a tensor that stays in a session. It may be fed in place of a value. When nothing refers to it any more the session forgets
    the tensor."""

    def __init__(self, handle: bytes, dtype: Any, kept: dict[bytes, Any]) -> None:
        self._handle: bytes | None = handle
        self._dtype = dtype
        self._kept = kept
        self._owner = True

    @property
    def handle(self) -> str:
        """The text to feed for a placeholder of `tf.get_session_tensor`."""
        return self._living().decode()

    def get_raw_handle(self) -> str:
        """The same, for a program that deletes the tensor itself: it stays when this object goes."""
        self._owner = False
        return self.handle

    def eval(self) -> Any:
        """The tensor's value."""
        return self.array().copy()

    def array(self) -> Any:
        """The tensor itself, which must not be changed."""
        return self._kept[self._living()]

    def delete(self) -> None:
        """Makes the session forget the tensor."""
        del self._kept[self._living()]
        self._handle = None

    def _living(self) -> bytes:
        if self._handle is None or self._handle not in self._kept:
            raise TypeError(f"Persistent tensor {self._handle!r} may have already been deleted.")
        return self._handle

    def __del__(self) -> None:
        if self._owner and self._handle is not None:
            self._kept.pop(self._handle, None)

    def __str__(self) -> str:
        return "" if self._handle is None else self._handle.decode()
