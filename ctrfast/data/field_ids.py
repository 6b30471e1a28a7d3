"""Texts or keys of one id field -> local ids, by vocabulary or by hash (`ctrfast.id_rows` has their meaning).

kept value                   2 + its place in the vocabulary
other value                  its hash mod K: 0 -> 0, else a row after the kept values'   (K = unseen_buckets)
any, with hash_buckets N     2 + its hash mod N
missing                      1
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ctrfast.data.text_keys import hash_bucket
from ctrfast.data.vocabulary import Vocabulary
from ctrfast.id_rows import ABSENT, FIRST_ID, MISSING_ID, UNSEEN_ID, IdRows
from ctrfast.schema import IdField

if TYPE_CHECKING:
    from ctrfast.data.keys import Keys

Ids = npt.NDArray[np.int32]


@dataclass(frozen=True)
class FieldIds:
    """Ids of one table. field: that has it. vocabulary: empty where the field has hash buckets."""

    field: IdField
    vocabulary: Vocabulary

    @property
    def rows(self) -> IdRows:
        """Rows that a value can have."""
        return IdRows(self.field.hash_buckets or len(self.vocabulary), self.field.unseen_buckets)

    def of_keys(self, keys: Keys) -> Ids:
        """Local ids (R,) of keys (R,)."""
        from ctrfast.data.hashing import hash_buckets  # compiled code: half a second that a start need not wait for
        from ctrfast.data.keys import MISSING_KEY

        if self.field.hash_buckets is not None:
            ids = hash_buckets(keys, self.field.hash_buckets) + np.int32(FIRST_ID)
            ids[keys == MISSING_KEY] = MISSING_ID
            return ids
        ids = self.vocabulary.encode_keys(keys)
        if self.field.unseen_buckets > 1:
            unseen = np.flatnonzero(ids == UNSEEN_ID)
            bucket = hash_buckets(keys[unseen], self.field.unseen_buckets)
            ids[unseen] = np.where(bucket, bucket + np.int32(self.rows.more_unseen - 1), np.int32(UNSEEN_ID))
        return ids

    def of_texts(self, texts: Sequence[str | None], find: Callable[[Sequence[str | None]], list[int]]) -> list[int]:
        """Local ids of R texts; None means missing. find: theirs in the vocabulary, or `ABSENT`."""
        if self.field.hash_buckets is not None:
            N = self.field.hash_buckets
            return [MISSING_ID if text is None else FIRST_ID + hash_bucket(text, N) for text in texts]
        return self.with_unseen(find(texts), texts)

    def with_unseen(self, ids: Sequence[int], texts: Sequence[str | None]) -> list[int]:
        """The ids (R,) of texts (R,), with those of missing and unseen values in place of `ABSENT`."""
        return [
            (MISSING_ID if text is None else self._unseen(text)) if id_ == ABSENT else id_
            for id_, text in zip(ids, texts, strict=True)
        ]

    def _unseen(self, text: str) -> int:
        bucket = hash_bucket(text, self.field.unseen_buckets) if self.field.unseen_buckets > 1 else 0
        return self.rows.more_unseen + bucket - 1 if bucket else UNSEEN_ID

    def value_of(self, local_id: int) -> str:
        """The raw value of a kept one's id, or the name of a hash bucket."""
        if self.field.hash_buckets is not None:
            return f"<bucket {local_id - FIRST_ID}>"
        return str(self.vocabulary.values[local_id - FIRST_ID])
