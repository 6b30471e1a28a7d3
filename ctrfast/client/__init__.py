"""The service from Python: submit jobs, follow them, read what they left, score. docs/client.md is its page.

    with Client("https://ctr.example.org", key) as service:
        job = service.submit("train", {"dataset": "clicks", "batch_size": 4096, "publish_as": "ctr"})
        service.wait(job, check=True)
        service.score("ctr", [{"C3": "a"}, {"C3": "b"}], context={"I1": 3}).scores[0].probability

`AsyncClient` has the same methods to `await`. Neither loads TensorFlow.
"""

from ctrfast.client.answers import Dataset, Job, JobEvent, JobPage, LogPart, Model, ModelVersion, Score, Scores
from ctrfast.client.async_client import AsyncClient
from ctrfast.client.patience import Patience
from ctrfast.client.problems import JobFailedError, ProblemError, UnreachableError
from ctrfast.client.sync_client import Client

__all__ = [
    "AsyncClient",
    "Client",
    "Dataset",
    "Job",
    "JobEvent",
    "JobFailedError",
    "JobPage",
    "LogPart",
    "Model",
    "ModelVersion",
    "Patience",
    "ProblemError",
    "Score",
    "Scores",
    "UnreachableError",
]
