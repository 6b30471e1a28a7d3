"""Ray Serve: one replica behind its HTTP proxy, with the settings that its documentation has for throughput."""

import os

os.environ.setdefault("RAY_SERVE_THROUGHPUT_OPTIMIZED", "1")
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")

import signal
import sys

import orjson
import ray
from ray import serve
from starlette.requests import Request
from starlette.responses import Response

from bench.peers.serving import Model, arguments

bundle, port, _ = arguments()


@serve.deployment(num_replicas=1, max_ongoing_requests=64, ray_actor_options={"num_cpus": 1})
class Scores:
    """The deployment."""

    def __init__(self, path):
        self.model = Model(path)

    async def __call__(self, request: Request) -> Response:
        content = {"predictions": self.model.predict(orjson.loads(await request.body())["instances"])}
        return Response(orjson.dumps(content), media_type="application/json")


ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, configure_logging=False)
serve.start(http_options={"host": "127.0.0.1", "port": port})
serve.run(Scores.bind(bundle.resolve()), route_prefix="/")
signal.signal(signal.SIGTERM, lambda *_: sys.exit())  # Ray ends its other processes at exit
signal.pause()
