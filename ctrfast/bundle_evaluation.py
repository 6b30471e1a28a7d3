"""Measure a bundle on a dataset: what is served is what is measured.

    metrics = evaluate_bundle(Scorer.load(Path("bundles/deepfm")), Dataset.open(Path("data/today")), "test")

Prepared rows hold ids, so the dataset must have the bundle's vocabularies, or ones that have grown from them: a value
that came later has the id there that the bundle gives to unseen values.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pyarrow.compute as pc

from ctrfast.data.batches import batches, fused_ids
from ctrfast.data.encode import Encoder
from ctrfast.data.shards import Dataset
from ctrfast.errors import ArtifactError
from ctrfast.id_rows import ABSENT
from ctrfast.metrics import Predictions
from ctrfast.score import Scorer

_BATCH = 65_536
_SMALLEST = 1e-9  # a probability that float32 rounded to 0 or 1 has no finite logit

Ids = npt.NDArray[np.int32]


def evaluate_bundle(
    scorer: Scorer, dataset: Dataset, split: str, on_batch: Callable[[], None] = lambda: None
) -> dict[str, float]:
    """Figures of a bundle's probabilities by name (`ctrfast.metrics`); empty where the split has no rows.

    Args:
        scorer: of the bundle.
        dataset: an opened dataset.
        split: `valid` or `test`.
        on_batch: called before each batch; what it raises ends the work.

    Raises:
        ArtifactError: the dataset's ids are not the bundle's, nor have they grown from them.
    """
    to_bundle = id_map(scorer.encoder, dataset.encoder())
    predictions = Predictions(tasks=scorer.tasks)
    for batch in batches(dataset, split, _BATCH):
        on_batch()
        probabilities = scorer.predict_arrays(to_bundle(batch.ids), batch.numbers).astype(np.float64)
        probabilities = np.clip(probabilities, _SMALLEST, 1 - _SMALLEST)
        predictions.add(batch.labels, np.log(probabilities) - np.log1p(-probabilities))
    return predictions.metrics()


def id_map(earlier: Encoder, later: Encoder) -> Callable[[Ids], Ids]:
    """Rows (R, S) of the later fused table -> rows (R, S) of the earlier one, exactly.

    Raises:
        ArtifactError: schema or statistics differ, or a vocabulary does not begin with the earlier one.
    """
    if earlier.fitted.hash == later.fitted.hash:
        return lambda ids: ids
    if any(getattr(earlier.fitted, what) != getattr(later.fitted, what) for what in ("schema_", "statistics", "edges")):
        raise ArtifactError(
            "The dataset has another schema, or other statistics, than the bundle. "
            "Prepare it with the bundle's vocabularies (`vocabulary_from`)."
        )
    tables = {name: _table_map(earlier, later, name) for name in later.vocabularies}
    maps = [tables[field.share or field.name] for field in later.fitted.schema_.id_fields for _ in range(field.slots)]
    starts = np.asarray(later.fitted.slot_offsets, np.int32)

    def to_earlier(ids: Ids) -> Ids:
        local = ids - starts
        mapped = np.stack([rows[local[:, slot]] for slot, rows in enumerate(maps)], axis=1)
        return fused_ids(mapped.astype(np.int32), earlier.fitted)

    return to_earlier


def _table_map(earlier: Encoder, later: Encoder, name: str) -> Ids:
    """Local id in the earlier table of each local id in the later one."""
    was, now = earlier.vocabularies[name], later.vocabularies[name]
    first = now.values.slice(0, len(was))
    if len(first) < len(was) or not pc.all(pc.equal(first, was.values), min_count=0).as_py():
        raise ArtifactError(
            f"The vocabulary of {name!r} in the dataset does not begin with the bundle's. "
            "Prepare it with the bundle's vocabularies (`vocabulary_from`).",
            path=name,
        )
    old_rows, new_rows = earlier.fitted.tables[name], later.fitted.tables[name]
    ids = np.arange(new_rows.size, dtype=np.int32)
    added = new_rows.values - old_rows.values
    behind = ids >= new_rows.more_unseen  # rows of other unseen values, and padding, lie behind all values
    ids[behind] -= np.int32(added)
    if added:
        new = slice(old_rows.more_unseen, new_rows.more_unseen)
        texts = now.values.slice(len(was)).to_pylist()
        ids[new] = earlier.field_ids[name].with_unseen([ABSENT] * len(texts), texts)
    return ids
