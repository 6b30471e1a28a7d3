"""FastAPI under uvicorn, in two ways.

pydantic   a model per row and per answer, as the documentation shows it: every field checked
bare       a route that takes the request and returns orjson's bytes: nothing checked
"""

import orjson
import uvicorn
from fastapi import FastAPI, Request, Response
from pydantic import BaseModel, create_model

from bench.peers.serving import Model, arguments

bundle, port, variant = arguments()
model = Model(bundle)
app = FastAPI()

Row = create_model(
    "Row",
    **dict.fromkeys(model.number_names, (float | None, None)),
    **dict.fromkeys(model.id_names, (str | None, None)),
)


class Rows(BaseModel):
    """A request."""

    instances: list[Row]


class Scores(BaseModel):
    """An answer."""

    predictions: list[float]


def predict_checked(rows: Rows) -> Scores:
    """The documented way; a plain function, as it computes: FastAPI runs it in its thread pool."""
    return Scores(predictions=model.predict([row.model_dump() for row in rows.instances]))


async def predict_bare(request: Request) -> Response:
    """The fast way."""
    content = {"predictions": model.predict(orjson.loads(await request.body())["instances"])}
    return Response(orjson.dumps(content), media_type="application/json")


app.post("/predict")({"pydantic": predict_checked, "bare": predict_bare}[variant])
uvicorn.run(app, port=port, log_level="warning", access_log=False)
