"""Keys of columns -> hash buckets. `ctrfast.data.text_keys.hash_bucket` does the same for a single text."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ctrfast.data.compiled import compiled
from ctrfast.data.keys import Keys, mix

Ids = npt.NDArray[np.int32]


def hash_buckets(keys: Keys, buckets: int) -> Ids:
    """(R,) int32, which of the buckets 0 .. `buckets` - 1 each key (R,) belongs to."""
    found = np.empty(len(keys), np.int32)
    _fill(keys, np.uint64(buckets), found)
    return found


@compiled
def _fill(keys: Keys, buckets: np.uint64, found: Ids) -> None:
    for row in range(len(keys)):
        found[row] = np.int32(mix(keys[row]) % buckets)
