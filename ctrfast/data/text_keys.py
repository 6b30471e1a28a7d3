"""Keys and hashes of single texts, in plain Python: for a few, compiled code is not worth its call.

`ctrfast.data.keys` is the rule and does the same for columns; a test holds the two together.

    hash_bucket("68fd1e64", 1000)        # the same on each machine, for ever
"""

from __future__ import annotations

import re

_MASK = 2**64 - 1
_FACTOR_1, _FACTOR_2 = 0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53
_HASHED = 1 << 63
_TOP = 56
_LONGEST_PACKED = 7
_HEX, _DECIMAL = 16, 32  # added to the number of digits in the top byte
_is_hex = re.compile(rb"[0-9a-f]{8,14}").fullmatch
_is_decimal = re.compile(rb"[0-9]{15,16}").fullmatch


def key_of_text(text: str) -> int:
    """The 64-bit key of a text; 0 for the empty one."""
    data = text.encode()
    length = len(data)
    if length <= _LONGEST_PACKED:
        return int.from_bytes(data, "little") | length << _TOP
    if _is_hex(data):
        return int(data, 16) | (_HEX + length) << _TOP
    if _is_decimal(data):
        return int(data) | (_DECIMAL + length) << _TOP
    hashed = mix(length)
    for first in range(0, length, 8):
        word = int.from_bytes(data[first : first + 8], "big")
        hashed = (mix(hashed ^ mix(word)) + _FACTOR_1) & _MASK
    return mix(hashed) | _HASHED


def hash_bucket(text: str, buckets: int) -> int:
    """Which of the buckets 0 .. `buckets` - 1 a text belongs to."""
    return mix(key_of_text(text)) % buckets


def mix(key: int) -> int:
    """A bijection of 64 bits that spreads them (the finaliser of MurmurHash3, Appleby 2011)."""
    key = ((key ^ (key >> 33)) * _FACTOR_1) & _MASK
    key = ((key ^ (key >> 33)) * _FACTOR_2) & _MASK
    return key ^ (key >> 33)
