"""MLServer with a custom runtime: Open Inference Protocol over HTTP, all in one process."""

import asyncio
import socket

import numpy as np
from mlserver import MLModel, MLServer, ModelSettings, Settings
from mlserver.settings import ModelParameters
from mlserver.types import InferenceRequest, InferenceResponse, ResponseOutput

from bench.peers.serving import Model, arguments

bundle, port, _ = arguments()


class Scores(MLModel):
    """The runtime."""

    async def load(self) -> bool:
        self.scorer = Model(bundle)
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        ids, numbers = payload.inputs
        rows, fields = ids.shape
        texts = list(ids.data)
        columns = [texts[field::fields] for field in range(fields)]
        values = np.array(list(numbers.data), dtype=np.float64).reshape(numbers.shape)
        scores = self.scorer.predict_columns(columns, values)
        output = ResponseOutput(name="probability", shape=[rows], datatype="FP32", data=scores)
        return InferenceResponse(model_name=self.name, outputs=[output])


def other_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


async def main() -> None:
    settings = Settings(
        debug=False,
        host="127.0.0.1",
        http_port=port,
        grpc_port=other_port(),
        metrics_endpoint=None,
        parallel_workers=0,
        use_structured_logging=False,
    )
    model = ModelSettings(name="ctr", implementation=Scores, parameters=ModelParameters(version="1"))
    await MLServer(settings).start([model])


asyncio.run(main())
