"""A model version in memory: its scorer, and what reads requests for it, scores them together and counts them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, partial

from ctrfast.score import Scorer
from service.live_rows import LiveRows
from service.pointers import Key
from service.projects import qualified
from service.registry import Registry
from service.scoring.batches import Batches
from service.scoring.bodies import BodyReader
from service.scoring.passes import Pass, score_together
from service.seals import require_bundle
from service.telemetry import Telemetry


@dataclass(frozen=True)
class Served:
    """A model version that can score. Nothing in it refers back to it: it is freed when the last holder lets go."""

    project: str
    name: str
    version: int
    scorer: Scorer
    telemetry: Telemetry

    @cached_property
    def bodies(self) -> BodyReader:
        """Reads requests for it."""
        return BodyReader(self.scorer.encoder)

    @cached_property
    def batches(self) -> Batches:
        """Scores the rows of several requests at once."""
        count = partial(_count, self.live, self.telemetry, qualified(self.project, self.name))
        return Batches(partial(score_together, self.scorer), count)

    @cached_property
    def live(self) -> LiveRows:
        """Its live traffic in this process."""
        return LiveRows(self.scorer)


def open_version(registry: Registry, telemetry: Telemetry, key: Key) -> Served:
    """Load a version with all that its first request needs, so that it does not wait, nor others meanwhile.

    Raises:
        CtrFastError: its files are missing, were changed, or cannot be loaded.
    """
    project, name, version = key
    registry = registry.of(project)
    with registry.opened(name, version) as (folder, row):
        require_bundle(folder, row.sha256)
        served = Served(project, name, version, Scorer.load(folder), telemetry)
        served.bodies.predict(b'{"instances": [{}]}', 1)[0].scored_by(served.scorer)
        served.live.report()
    return served


def _count(live: LiveRows, telemetry: Telemetry, model: str, done: Pass) -> None:
    encoded = done.encoded
    live.add(encoded.ids, encoded.numbers)
    telemetry.count_scores(model, encoded.rows, encoded.unseen)
    telemetry.scoring_seconds["encode"] += done.encode_s
    telemetry.scoring_seconds["model"] += done.model_s
