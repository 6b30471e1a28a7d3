"""LitServe: plain, with its batching, or plain with its fast queue (ZeroMQ between its processes)."""

from itertools import accumulate

import litserve

from bench.peers.serving import Model, arguments

bundle, port, variant = arguments()


class Scores(litserve.LitAPI):
    """decode -> predict -> encode, as LitServe has it. With batching, `predict` gets a list of requests' rows."""

    def setup(self, device):  # noqa: ARG002  (LitServe's)
        self.model = Model(bundle)

    def decode_request(self, request):
        return request["instances"]

    def predict(self, rows):
        return self.model.predict(rows)

    def encode_response(self, scores):
        return {"predictions": scores}


class BatchedScores(Scores):
    """One forward pass for the rows of all requests in a batch."""

    def batch(self, requests):
        self.lengths = [len(rows) for rows in requests]
        return [row for rows in requests for row in rows]

    def unbatch(self, scores):
        ends = list(accumulate(self.lengths))
        return [scores[end - length : end] for end, length in zip(ends, self.lengths, strict=True)]


if __name__ == "__main__":
    api = BatchedScores(max_batch_size=32, batch_timeout=0.002) if variant == "batching" else Scores()
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=1, fast_queue=variant == "fast queue")
    server.run(port=port, host="127.0.0.1", num_api_servers=1, generate_client_file=False, log_level="warning")
