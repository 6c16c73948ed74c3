"""FarmHash Fingerprint64 (Pike, 2014), the hash behind string_to_hash_bucket_fast: the same number for the same bytes on every machine."""

from __future__ import annotations

_K0, _K1, _K2 = 0xC3A5C85C97CB3127, 0xB492B66FBE98F273, 0x9AE16A3B2F90404F
_WORD = (1 << 64) - 1


def _at(s: bytes, place: int, size: int = 8) -> int:
    return int.from_bytes(s[place : place + size], "little")


def _rotated(v: int, by: int) -> int:
    v &= _WORD
    return (v >> by | v << (64 - by)) & _WORD


def _mixed(v: int) -> int:
    v &= _WORD
    return v ^ v >> 47


def _pair(u: int, v: int, mul: int) -> int:
    a = _mixed((u ^ v) * mul)
    return _mixed((v ^ a) * mul) * mul & _WORD


def fingerprint64(s: bytes) -> int:
    """The hash of `s`, an unsigned number of 64 bits."""
    n = len(s)
    if n <= 16:
        return _tiny(s, n)
    if n <= 32:
        return _short(s, n)
    return _middle(s, n) if n <= 64 else _long(s, n)


def _tiny(s: bytes, n: int) -> int:
    mul = _K2 + n * 2
    if n >= 8:
        a, b = _at(s, 0) + _K2 & _WORD, _at(s, n - 8)
        return _pair(_rotated(b, 37) * mul + a & _WORD, (_rotated(a, 25) + b) * mul & _WORD, mul)
    if n >= 4:
        return _pair(n + (_at(s, 0, 4) << 3), _at(s, n - 4, 4), mul)
    if n:
        return _mixed((s[0] + (s[n >> 1] << 8)) * _K2 & _WORD ^ (n + (s[n - 1] << 2)) * _K0 & _WORD) * _K2 & _WORD
    return _K2


def _short(s: bytes, n: int) -> int:
    mul = _K2 + n * 2
    a, b, c, d = _at(s, 0) * _K1, _at(s, 8), _at(s, n - 8) * mul, _at(s, n - 16) * _K2
    return _pair(_rotated(a + b, 43) + _rotated(c, 30) + d & _WORD, a + _rotated(b + _K2, 18) + c & _WORD, mul)


def _middle(s: bytes, n: int) -> int:
    mul = _K2 + n * 2
    a, b, c, d = _at(s, 0) * _K2, _at(s, 8), _at(s, n - 8) * mul, _at(s, n - 16) * _K2
    y = _rotated(a + b, 43) + _rotated(c, 30) + d & _WORD
    z = _pair(y, a + _rotated(b + _K2, 18) + c & _WORD, mul)
    e, f = _at(s, 16) * mul, _at(s, 24)
    g, h = (y + _at(s, n - 32)) * mul, (z + _at(s, n - 24)) * mul
    return _pair(_rotated(e + f, 43) + _rotated(g, 30) + h & _WORD, e + _rotated(f + a, 18) + g & _WORD, mul)


def _weak(s: bytes, place: int, a: int, b: int) -> tuple[int, int]:
    w, x, y, z = (_at(s, place + k) for k in (0, 8, 16, 24))
    a += w
    b = _rotated(b + a + z, 21)
    c = a
    a += x + y
    return a + z & _WORD, b + _rotated(a, 44) + c & _WORD


def _long(s: bytes, n: int) -> int:
    x, y = 81, 81 * _K1 + 113 & _WORD
    z = _mixed(y * _K2 + 113) * _K2 & _WORD
    v, w = (0, 0), (0, 0)
    x = x * _K2 + _at(s, 0) & _WORD
    last = (n - 1) // 64 * 64

    def block(place: int, mul: int, ninth: int) -> None:
        nonlocal x, y, z, v, w
        x = _rotated(x + y + v[0] + _at(s, place + 8), 37) * mul & _WORD
        y = _rotated(y + v[1] + _at(s, place + 48), 42) * mul & _WORD
        x ^= w[1] * ninth & _WORD
        y = y + v[0] * ninth + _at(s, place + 40) & _WORD
        z = _rotated(z + w[0], 33) * mul & _WORD
        v = _weak(s, place, v[1] * mul, x + w[0])
        w = _weak(s, place + 32, z + w[1], y + _at(s, place + 16))
        x, z = z, x

    for place in range(0, last, 64):
        block(place, _K1, 1)
    mul = _K1 + ((z & 0xFF) << 1)
    w = (w[0] + (n - 1 & 63) & _WORD, w[1])
    v = (v[0] + w[0] & _WORD, v[1])
    w = (w[0] + v[0] & _WORD, w[1])
    block(n - 64, mul, 9)
    return _pair(_pair(v[0], w[0], mul) + _mixed(y) * _K0 + z & _WORD, _pair(v[1], w[1], mul) + x & _WORD, mul)


def hash64(s: bytes, seed: int = 0xDECAFCAFFE) -> int:
    """MurmurHash64A by Austin Appleby with TensorFlow's seed."""
    mul, whole = 0xC6A4A7935BD1E995, len(s) & ~7
    h = seed ^ (len(s) * mul & _WORD)
    for place in range(0, whole, 8):
        k = _at(s, place) * mul & _WORD
        h = (h ^ ((k ^ (k >> 47)) * mul & _WORD)) * mul & _WORD
    if len(s) > whole:
        h = (h ^ int.from_bytes(s[whole:], "little")) * mul & _WORD
    h = (h ^ (h >> 47)) * mul & _WORD
    return h ^ (h >> 47)
