"""BentoML with its adaptive batching, in one process: `bentoml serve bench.peers.serve_bentoml:Scores`.

The bundle's path comes by BENCH_BUNDLE, since BentoML itself imports this file.
"""

import os
from pathlib import Path
from typing import Any

import bentoml

from bench.peers.serving import Model


@bentoml.service(workers=1, traffic={"timeout": 30, "max_concurrency": 256})
class Scores:
    """The service. A batch holds the rows of all requests that came within its window."""

    def __init__(self) -> None:
        self.model = Model(Path(os.environ["BENCH_BUNDLE"]))

    @bentoml.api(route="/predict", batchable=True, batch_dim=0, max_batch_size=1024, max_latency_ms=1000)
    def predict(self, instances: list[dict[str, Any]]) -> list[float]:
        return self.model.predict(instances)
