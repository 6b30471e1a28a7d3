"""A bare ASGI application under uvicorn: orjson, ONNX Runtime, nothing else."""

import orjson
import uvicorn

from bench.peers.serving import Model, arguments

bundle, port, _ = arguments()
model = Model(bundle)


async def application(scope, receive, send):
    """Answer a POST with scores, whatever its path."""
    if scope["type"] != "http":  # uvicorn's lifespan, which is turned off
        return
    body = b""
    more = True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    content = orjson.dumps({"predictions": model.predict(orjson.loads(body)["instances"])})
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(content)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": content})


uvicorn.run(application, port=port, log_level="warning", access_log=False, lifespan="off")
