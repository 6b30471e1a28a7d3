"""The other servers, each around the published ONNX graph: how they are started, asked and read.

    peer = PEERS["LitServe"]
    Server(peer.name, peer.command(bundle, port), Probe(peer.url(port), body), peer.environment(bundle))
    peer.scores(answer)                                      # [0.231, ...]

The programs are `bench.peers.serve_*`. MLServer and BentoML have environments of their own: they ask for older versions
of packages that the others use.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_MOST, _MLSERVER, _BENTOML = (Path(f".venv-serve-{name}/bin/python") for name in ("ray", "mlserver", "bentoml"))


@dataclass(frozen=True)
class Peer:
    """Another server.

    what: how it is run. package: what it needs in `python`'s environment; it is left out where that is not installed.
    module, variant: its program. form: of its bodies (`bench.serve_bodies`).
    """

    name: str
    what: str
    package: str
    module: str
    variant: str = ""
    python: Path = _MOST
    path: str = "/predict"
    form: str = "instances"
    read: Callable[[Any], list[float]] = lambda answer: answer["predictions"]

    def command(self, bundle: Path, port: int) -> list[str]:
        """Its program, in the environment of the other servers."""
        if self.module == "bentoml":
            application = "bench.peers.serve_bentoml:Scores"
            return [str(self.python), "-m", "bentoml", "serve", application, "--host", "127.0.0.1", "--port", str(port)]
        where = ["--bundle", str(bundle), "--port", str(port), "--variant", self.variant]
        return [str(self.python), "-m", f"bench.peers.{self.module}", *where]

    def environment(self, bundle: Path) -> Mapping[str, str]:
        """What it reads from its environment; none of them may send statistics about its use."""
        programs = self.python.parent.resolve()
        return {
            "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",  # some start children by name
            "PYTHONPATH": str(Path.cwd()),
            "BENCH_BUNDLE": str(bundle),
            "BENTOML_DO_NOT_TRACK": "true",
            "RAY_USAGE_STATS_ENABLED": "0",
        }

    def url(self, port: int) -> str:
        """Where it is asked."""
        return f"http://127.0.0.1:{port}{self.path}"


PEERS: Mapping[str, Peer] = {
    peer.name: peer
    for peer in (
        Peer("bare ASGI route", "orjson, no framework", "uvicorn", "serve_asgi"),
        Peer("bare FastAPI route", "orjson, no checks", "fastapi", "serve_fastapi", "bare"),
        Peer("FastAPI + pydantic", "a model per row", "fastapi", "serve_fastapi", "pydantic"),
        Peer("LitServe", "plain", "litserve", "serve_litserve", "plain"),
        Peer("LitServe, batching", "32 requests, 2 ms", "litserve", "serve_litserve", "batching"),
        Peer("LitServe, fast queue", "plain, ZeroMQ", "litserve", "serve_litserve", "fast queue"),
        Peer(
            "MLServer",
            "V2 JSON, in its own process",
            "mlserver",
            "serve_mlserver",
            python=_MLSERVER,
            path="/v2/models/ctr/infer",
            form="v2",
            read=lambda answer: answer["outputs"][0]["data"],
        ),
        Peer("BentoML", "adaptive batching", "bentoml", "bentoml", python=_BENTOML, read=lambda answer: answer),
        Peer("Ray Serve", "throughput-optimised", "ray", "serve_ray"),
    )
}
