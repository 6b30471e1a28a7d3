"""Rows of one id field's embedding table, by local id: the one place that knows which of them are unseen values'.

0                      unseen or rare
1                      missing
2 .. values + 1        kept values, or hash buckets
values + 2 ..          the other K - 1 rows of unseen and rare values, where `unseen_buckets` is K > 1
the last               padding, where a field of lists uses the table: fills lists up, and takes part in nothing

rows = IdRows(values=3, unseen_buckets=2)
rows.size                                    # 6
rows.is_unseen(np.array([0, 1, 2, 5]))       # [True, False, False, True]
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

UNSEEN_ID = 0  # local id of a value that is rare in, or absent from, the training split
MISSING_ID = 1  # local id of an absent or empty value
FIRST_ID = 2  # local id of the most frequent value kept
ABSENT = -1  # no row: what a look-up gives for a text that the vocabulary lacks

Ids = npt.NDArray[np.int32]


@dataclass(frozen=True)
class IdRows:
    """Rows of a field's table. values: kept ones, or hash buckets. unseen_buckets: K. has_padding: see above."""

    values: int
    unseen_buckets: int = 1
    has_padding: bool = False

    @property
    def more_unseen(self) -> int:
        """Local ids from this one on are unseen, as 0 is, up to `padding`."""
        return FIRST_ID + self.values

    @property
    def padding(self) -> int:
        """The local id after all that a value can have; a row of the table where it has padding."""
        return self.more_unseen + self.unseen_buckets - 1

    @property
    def size(self) -> int:
        """Rows of the table."""
        return self.padding + self.has_padding

    def is_unseen(self, ids: Ids) -> npt.NDArray[np.bool_]:
        """Whether each local id is one of an unseen or rare value."""
        unseen: npt.NDArray[np.bool_] = ids == UNSEEN_ID
        return unseen if self.unseen_buckets == 1 else unseen | ((ids >= self.more_unseen) & (ids < self.padding))

    def folded(self, ids: Ids) -> Ids:
        """Local ids with one id, 0, for all unseen and rare values."""
        return ids if self.unseen_buckets == 1 else np.where(self.is_unseen(ids), np.int32(UNSEEN_ID), ids)
