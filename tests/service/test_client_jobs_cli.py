"""`ctrfast jobs` as its users call it, against the real service."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from service.access import ALL_RIGHTS
from service.assignments import LOG
from service.keys import KeyStore
from service.states import Kind
from tests.command_line import called, ctrfast, one_line
from tests.service.conftest import Api
from tests.service.test_api_jobs import TRAIN, registered, run_a_job  # noqa: F401 - a fixture


def jobs(api: Api, *arguments: str, code: int = 0, stdin: str = "", **environment: str) -> str:
    """stdout of a call that must go well; else the one line on stderr."""
    here = {"CTRFAST_URL": api.url, **environment}
    done = called("jobs", *arguments, code=code, stdin=stdin, environment=here)
    if code == 0:
        assert done.stderr == ""
        return done.stdout
    return one_line(done)


@pytest.fixture
def request_file(tmp_path: Path) -> Path:
    file = tmp_path / "job.yaml"
    file.write_text(yaml.safe_dump({"kind": "train", "spec": TRAIN, "labels": {"team": "ads"}}))
    return file


def test_submit_list_show_and_steer(registered: Api, request_file: Path) -> None:  # noqa: F811
    job_id = jobs(registered, "submit", str(request_file), "--idempotency-key", "k").strip()
    assert jobs(registered, "submit", "-", "--idempotency-key", "k", stdin=request_file.read_text()).strip() == job_id
    shown = json.loads(jobs(registered, "show", job_id, "--json"))
    assert (shown["id"], shown["spec"], shown["labels"]) == (job_id, TRAIN, {"team": "ads"})
    assert re.search(rf"^id +{job_id}$", jobs(registered, "show", job_id), re.MULTILINE)
    head, line = jobs(registered, "list", "--label", "team=ads", "--state", "queued").splitlines()
    assert head.split() == ["id", "kind", "state", "progress", "attempt", "created", "labels"]
    assert line.split()[:4] == [job_id, "train", "queued", "0%"]
    assert json.loads(jobs(registered, "list", "--kind", "score", "--json"))["jobs"] == []
    assert json.loads(jobs(registered, "pause", job_id, "--json"))["state"] == "paused"
    for action, state in (("resume", "queued"), ("cancel", "cancelled"), ("retry", "queued"), ("cancel", "cancelled")):
        assert f" {state}\n" in jobs(registered, action, job_id)
    assert "cannot be cancelled" in jobs(registered, "cancel", job_id, code=1)
    assert f"The job {job_id} is cancelled." in jobs(registered, "wait", job_id, code=1)


def test_a_process_of_its_own_says_the_same(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    job_id = run_a_job(api)
    monkeypatch.setenv("CTRFAST_URL", api.url)
    done = ctrfast("jobs", "show", job_id)
    assert (done.stdout, done.stderr) == (jobs(api, "show", job_id), "")
    assert "404 not_found" in one_line(ctrfast("jobs", "show", "nope", code=1))


def test_the_runs_of_a_sweep(api: Api) -> None:
    spec = {"base": {}, "grid": {"seed": [1, 2]}}
    sweep = api.services.jobs.enqueue(Kind.SWEEP, spec, children=[{"seed": 1}, {"seed": 2}])
    lines = jobs(api, "list", "--parent", sweep.id).splitlines()
    assert [line.split()[1:3] for line in lines[1:]] == [["train", "queued"]] * 2
    shown = jobs(api, "show", sweep.id)
    assert re.search(r"^children +queued 2$", shown, re.MULTILINE)


def test_logs_are_followed_to_the_end_of_the_job(api: Api) -> None:
    job_id = run_a_job(api)
    folder = api.services.settings.job_folder(job_id)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / LOG).write_text("one\ntwo é\n")
    assert jobs(api, "logs", job_id) == jobs(api, "logs", job_id, "--follow") == "one\ntwo é\n"
    assert " succeeded\n" in jobs(api, "wait", job_id)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("kind: train", "must hold `kind` and `spec`"),
        ("[]", "must hold `kind` and `spec`"),
        ("kind: [", "is not YAML"),
        ("{kind: train, spec: {}, prioritty: 1}", "Did you mean priority?"),
        ("{kind: train, spec: 3}", "settings by name under `spec`"),
        ("{kind: trian, spec: {}}", "Did you mean train? (422 bad_config, at kind"),
    ],
)
def test_requests_that_are_refused(shared_api: Api, text: str, said: str) -> None:
    assert said in jobs(shared_api, "submit", "-", stdin=text, code=1)


def test_the_key_comes_from_the_environment(make_api: Callable[..., Api]) -> None:
    api = make_api(require_key=True)
    key = KeyStore(api.services.database).create("ci", rights=ALL_RIGHTS)
    mine = api.services.jobs.enqueue(Kind.TRAIN, {})
    for arguments, environment in (((), {"CTRFAST_API_KEY": key}), (("--key-env", "MINE"), {"MINE": key})):
        assert mine.id in jobs(api, "list", *arguments, **environment)
    assert "401 unauthorized" in jobs(api, "list", code=1)
    assert "The variable MINE holds no API key" in jobs(api, "list", "--key-env", "MINE", code=1)
    assert "http:// or https://" in jobs(api, "list", "--url", "nowhere", code=1)


def test_unknown_jobs(shared_api: Api) -> None:
    for command in ("show", "logs", "wait"):
        assert "404 not_found" in jobs(shared_api, command, "nope", code=1)
