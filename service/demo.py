"""`make demo`: the whole product in a few minutes, from raw clicks to scores over REST, on this machine alone.

It writes under `demo/` and leaves no process behind. Each command that it shows can be typed as it stands.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import pyarrow.parquet as pq
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from ctrfast.data.shards import Dataset
from ctrfast.metrics import auc
from service.local import LocalService
from service.processes import StartError

FOLDER = Path("demo")
ROWS = 200_000
JOB: dict[str, Any] = {
    "dataset": "clicks",
    "model": {"name": "deepfm"},
    "batch_size": 4096,
    "scaling": {"rule": "cowclip", "base_batch_size": 1024},
    "epochs": 3,
    "seed": 1,
    "publish_as": "ctr",
}
_BIN = Path(sys.executable).parent

console = Console(highlight=False, soft_wrap=True)


def main() -> None:
    """Run the demo in the current folder."""
    started = time.monotonic()
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir()
    raw, data = FOLDER / "clicks.tsv.gz", FOLDER / "dataset"

    _say(f"1. {ROWS:,} impressions in Criteo's raw format, from a teacher model that we know")
    _run("ctrfast", "synth", str(raw), "--preset", "criteo", "--rows", str(ROWS), "--seed", "1")
    _say("2. Prepare them: vocabularies from the training rows, parquet shards; the last rows are the test split")
    _run(
        *("ctrfast", "prepare", str(raw), "--preset", "criteo", "--min-count", "4", "--split", "sequential"),
        *("--out", str(data)),
    )
    _say("3. Start the service, and submit a CowClip job over REST")
    with _service() as local, httpx.Client(base_url=local.url, timeout=60) as client:
        console.print(f"   the service runs at {local.url}")
        _post(client, "/v1/datasets", {"name": "clicks", "path": str(data.resolve())})
        job = _post(client, "/v1/jobs", {"kind": "train", "spec": JOB})
        job = _watch(client, job["id"])
        _say("4. How good is it? AUC on the test rows, beside the teacher's own: nobody can do better than that")
        console.print(f"   DeepFM, CowClip at batch 4,096:  {job['metrics']['test_auc']:.4f}")
        console.print(f"   the teacher:                     {_teacher_auc(raw, data):.4f}")
        _say("5. Score impressions with the published model")
        _score(client, data)
    seconds = time.monotonic() - started
    _say(f"Done in {seconds:.0f} s, and the service is stopped. To go on:")
    roots = f"CTRFAST_HOME={FOLDER}/service CTRFAST_DATA_ROOTS={FOLDER}"
    console.print(f"   {roots} .venv/bin/ctrfast-service up       # the same service; http://127.0.0.1:8000/docs")
    console.print("   .venv/bin/ctrfast plan --rule cowclip --preset criteo --batch-size 131072")
    console.print(f"   .venv/bin/ctrfast inspect {data}")
    console.print("   README.md has the first job with curl; data/README.md says how to get the real data.")


def _say(text: str) -> None:
    console.print(f"\n{text}", style="bold")


def _run(*command: str) -> None:
    console.print("   $ " + " ".join(command))
    subprocess.run([str(_BIN / command[0]), *command[1:]], check=True)


def _service() -> LocalService:
    console.print("   $ ctrfast-service up")
    try:
        return LocalService(FOLDER / "service", [FOLDER])
    except StartError as error:
        raise SystemExit(str(error)) from error


def _post(client: httpx.Client, path: str, body: dict[str, Any]) -> dict[str, Any]:
    console.print(f"   POST {path} {json.dumps(body)}")
    answer = client.post(path, json=body)
    if answer.is_error:
        raise SystemExit(f"{path} answered {answer.status_code}: {answer.text}")
    content: dict[str, Any] = answer.json()
    return content


def _watch(client: httpx.Client, job_id: str) -> dict[str, Any]:
    """Follow the job's event stream with a progress bar until it ends."""
    columns = (TextColumn("   {task.description}"), BarColumn(), TextColumn("{task.percentage:3.0f} %"))
    with Progress(*columns, TimeElapsedColumn(), console=console) as bar:
        task = bar.add_task("queued", total=1.0)
        with client.stream("GET", f"/v1/jobs/{job_id}/events", timeout=None) as events:
            for line in events.iter_lines():
                if not line.startswith("data:"):
                    continue
                event = json.loads(line.removeprefix("data:"))
                if "state" in event:
                    bar.update(task, description=event["state"])
                if "progress" in event:
                    bar.update(task, completed=event["progress"])
                if "loss" in event:
                    figures = f"loss {event['loss']:.4f}  {event['rows_per_s']:,.0f} rows/s"
                    bar.update(task, description=f"training  {figures}")
    job: dict[str, Any] = client.get(f"/v1/jobs/{job_id}").json()
    if job["state"] != "succeeded":
        raise SystemExit(f"The job ended {job['state']}: {job['reason']}: {job['message']}")
    return job


def _teacher_auc(raw: Path, data: Path) -> float:
    """The teacher's AUC on the test rows; they are the last ones of the raw file."""
    labels = pq.read_table(Dataset.open(data).shards("test"), columns=["label"])["label"].to_numpy()
    probabilities = pq.read_table(f"{raw}.teacher.parquet")["probability"].to_numpy()
    area = auc(labels, probabilities[-len(labels) :])
    if area is None:
        raise SystemExit("The test rows must hold clicks and non-clicks.")
    return area


def _score(client: httpx.Client, data: Path) -> None:
    frequent = {name: _most_frequent(data, name) for name in ("C1", "C2", "C3")}
    known = {"I1": 3, "I2": 12, "I5": 1500, **frequent}
    answer = _post(client, "/v1/models/ctr:predict", {"instances": [known, {"C1": "never-seen"}, {}]})
    console.print(f"   -> {answer}")
    body = {"model": "ctr", "context": known, "candidates": [{}, {"C3": "never-seen"}, {"C3": None}]}
    answer = _post(client, "/v1/score", body)
    answer["unseen"] = {field: count for field, count in answer["unseen"].items() if count}
    console.print(f"   -> {answer}")


def _most_frequent(data: Path, field: str) -> str:
    values = pq.read_table(data / "vocabulary" / f"{field}.parquet")["value"]
    return str(values[0])


if __name__ == "__main__":
    main()
