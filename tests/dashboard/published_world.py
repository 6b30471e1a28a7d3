"""A service with one of each thing that the pages of data, sweeps and models show."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from playwright.sync_api import BrowserContext, Page

from ctrfast.run import RECEIPT
from service.access import ALL_RIGHTS, Right
from service.assignments import LOG, RUN
from service.leases import Report
from service.options import JobOptions
from service.states import Kind
from tests.service.conftest import Api, fill_data_root, publish, quick_settings

HOSTILE = "<img src=x onerror=alert(1)>"
KEY_NAME = f"all {HOSTILE}"
GRID = {"scaling.rule": ["none", "cowclip"], "batch_size": [100, 200], "seed": [1, 2]}
AUC = {("none", 100): 0.78, ("none", 200): 0.76, ("cowclip", 100): 0.785, ("cowclip", 200): 0.784}
REFUSED = f"AUC 0.70000, the champion's 0.71000; {HOSTILE}."


FIELDS = [f"C{number}" for number in range(1, 27)]  # Criteo's


class World:
    """An API that demands a key: the dataset `small`, versions of the model `ctr` with `latest` on 2, an ended sweep.

    There is an ended training too, with records of all kinds, a warning and a log.

    Version 3 was refused by its gates, and the reason holds markup. Version 2 has its training's files beside it.
    """

    def __init__(self, home: Path, dataset: Path, raw_clicks: Path, run: Path, bundle: Path) -> None:
        fill_data_root(home, dataset, raw_clicks)
        self.api = Api(quick_settings(home, require_key=True))
        self.url, services = self.api.url, self.api.services
        self.key = services.keys.create(KEY_NAME, rights=ALL_RIGHTS)
        self.reader = services.keys.create("reader", rights=[Right.JOBS_READ, Right.MODELS_READ, Right.SCORE])
        self.api.client.headers["X-API-Key"] = self.key
        services.datasets.register("small", home / "data" / "prepared")
        publish(self.api, bundle)
        publish(self.api, bundle)
        jobs = services.jobs
        job = jobs.enqueue(Kind.TRAIN, {})
        jobs.cancel(job.id)
        made = services.settings.job_folder(job.id) / "bundle"
        shutil.copytree(bundle, made)
        compared = {"version": 2, "split": "test", "rows": "same", "candidate": {"auc": 0.7}, "champion": {"auc": 0.71}}
        verdict = {"refused": [REFUSED], "overruled": [], "compared": {**compared, "note": None}}
        metrics = json.loads((run / RECEIPT).read_text())["metrics"]
        with services.database.write() as session:
            services.registry.publish(session, "ctr", made, job.id, metrics, verdict)
        trained_by = services.registry.get_version("ctr", 2).job_id
        assert trained_by is not None
        shutil.copytree(run, services.settings.job_folder(trained_by) / RUN)
        self.trained_id = self._training()
        self.sweep_id = self._sweep()

    def _training(self) -> str:
        services = self.api.services
        spec = {"dataset": "small", "batch_size": 512, "epochs": 3}
        options = JobOptions(labels={"team": "ads"})
        job_id = services.jobs.enqueue(Kind.TRAIN, spec, options=options).id
        lease = services.leases.claim("w")
        assert lease is not None
        log = services.settings.job_folder(job_id) / LOG
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text("".join(f"step {step}: loss {1 / (step + 2):.4f}\n" for step in range(60)) + f"{HOSTILE}\n")
        records = []
        for step in range(1, 61):
            shares = {f"clipped_share.{name}": place / (40 * step) for place, name in enumerate(FIELDS, 1)}
            record = {"epoch": step // 21, "step": step, "loss": 0.4 + 1 / (step + 2), "rows_per_s": 9000.0 + step}
            records.append(
                {**record, "input_wait_share": 0.01, "clipped_share": 0.5 / step, **shares, "memory_bytes": 1e9}
            )
            if step % 20 == 0:
                norms = {f"embedding_norm.{name}": 0.01 * place for place, name in enumerate(FIELDS, 1)}
                records[-1] |= {"valid_auc": 0.7 + step / 1000, "valid_log_loss": 0.5 - step / 1000, **norms}
        services.leases.renew(lease, Report(progress=0.9, records=records, warnings=[HOSTILE]))
        services.leases.succeed(lease, {"test_auc": 0.76, "loss": 0.42, "rows_per_s": 9060.0}, lambda _: {})
        return job_id

    def _sweep(self) -> str:
        services = self.api.services
        points = [(rule, size, seed) for rule in GRID["scaling.rule"] for size in GRID["batch_size"] for seed in (1, 2)]
        runs = [
            {"dataset": "small", "scaling": {"rule": rule}, "batch_size": size, "seed": seed}
            for rule, size, seed in points
        ]
        sweep = services.jobs.enqueue(Kind.SWEEP, {"base": {"dataset": "small"}, "grid": GRID}, children=runs)
        for _ in runs:
            lease = services.leases.claim("w")
            assert lease is not None
            spec = services.jobs.get(lease.job_id).spec
            auc = AUC[spec["scaling"]["rule"], spec["batch_size"]] + spec["seed"] / 1000
            services.leases.succeed(lease, {"test_auc": auc, "valid_auc": auc - 0.01}, lambda _: {})
        services.leases.sweep()
        return sweep.id

    def get(self, path: str) -> Any:
        """What a route answers to a script."""
        answer = self.api.client.get(path)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def sign_in(self, context: BrowserContext, key: str | None = None) -> Page:
        """A page of a browser that has signed in."""
        page = context.new_page()
        page.goto(f"{self.url}/ui/sign-in")
        page.get_by_label("API key").fill(self.key if key is None else key)
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_url("**/ui/jobs")
        return page

    def close(self) -> None:
        self.api.close()
