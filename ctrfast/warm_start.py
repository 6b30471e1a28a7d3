"""Begin with the weights of a finished run, on a dataset whose vocabularies have grown from that run's.

    ctrfast prepare today.tsv.gz --preset criteo --vocabulary-from runs/yesterday --grow --out data/today
    ctrfast train --data data/today --warm-start runs/yesterday --out runs/today

Dense weights and the rows of values that the run knew are taken over; rows of new values start as in any run. Moments
start at 0 and the rates' schedule at its first step, since both belong to the rows of the earlier days.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow.compute as pc
import tensorflow as tf

from ctrfast.checkpoint import Checkpoint, set_value
from ctrfast.config import TrainConfig
from ctrfast.data.encode import Encoder
from ctrfast.errors import ArtifactError, ConfigError
from ctrfast.fitted_schema import FittedSchema
from ctrfast.id_rows import IdRows
from ctrfast.run import Run


@dataclass(frozen=True)
class WarmStart:
    """Weights of an earlier run, which fit a dataset and config.

    Args:
        run: finished.
        config: of the new run.
        encoder: of the new run's dataset.

    Raises:
        ConfigError: the run has another network.
        ArtifactError: the dataset's vocabularies or statistics have not come from the run's, or its weights are gone.
    """

    run: Run
    config: TrainConfig
    encoder: Encoder

    def __post_init__(self) -> None:
        was, now = self.run.config.model.model_dump(), self.config.model.model_dump()
        for name, value in was.items():
            if value != now[name]:
                raise ConfigError(
                    f"`model.{name}` must be that of the run to start from, {value!r}. Got {now[name]!r}. "
                    "Set it so, or start without that run.",
                    path=f"model.{name}",
                )
        earlier, fitted = self.run.encoder(), self.encoder.fitted
        remedy = f"Prepare it with --vocabulary-from {self.run.path}, and --grow for new values."
        if any(getattr(earlier.fitted, what) != getattr(fitted, what) for what in ("schema_", "statistics", "edges")):
            raise ArtifactError(f"The dataset's schema and statistics must be those of the run to start from. {remedy}")
        for name, vocabulary in earlier.vocabularies.items():
            first = self.encoder.vocabularies[name].values.slice(0, len(vocabulary))
            if len(first) < len(vocabulary) or not pc.all(pc.equal(first, vocabulary.values), min_count=0).as_py():
                raise ArtifactError(f"The vocabulary of {name!r} must begin with the run's. {remedy}", path=name)

    @property
    def origin(self) -> dict[str, str]:
        """What the new run's manifest says of where it comes from."""
        return {"warm_start": self.run.seal}

    def restore(self, state: Mapping[str, tf.Variable | npt.NDArray[np.float32]]) -> None:
        """Set the weights among a run's variables by name (`TableOptimizer.state`)."""
        checkpoint = Checkpoint.open(self.run.checkpoint, self.run.seal)
        checkpoint.restore({name: variable for name, variable in state.items() if _is_dense_weight(name)})
        table, old = np.asarray(state["table"]).copy(), checkpoint.tensors(["table"])["table"]
        earlier = self.run.encoder().fitted
        tables = zip(_id_tables(self.encoder.fitted), _id_tables(earlier), strict=True)
        for (new_start, new_rows), (old_start, old_rows) in tables:
            known, more_unseen = old_rows.more_unseen, old_rows.unseen_buckets - 1  # the latter lie behind all values
            table[new_start : new_start + known] = old[old_start : old_start + known]
            new, was = new_start + new_rows.more_unseen, old_start + known
            table[new : new + more_unseen] = old[was : was + more_unseen]
        set_value(state["table"], table)


def _id_tables(fitted: FittedSchema) -> list[tuple[int, IdRows]]:
    """First row in the fused table, and rows, of each table; a padding row is 0 in all of them."""
    return list(zip(fitted.table_starts, fitted.tables.values(), strict=True))


def _is_dense_weight(name: str) -> bool:
    """`dense.03`, `kept.00`, and not the moments `dense.03.first`."""
    return name.startswith(("dense.", "kept.")) and name.count(".") == 1
