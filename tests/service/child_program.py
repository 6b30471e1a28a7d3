"""Stands in for `service.runner`: reads the assignment, then does what its first argument says."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path


def main() -> None:
    mode, *arguments, channel = sys.argv[1:]
    assignment = json.loads(sys.stdin.readline())

    def tell(**message: object) -> None:
        os.write(int(channel), json.dumps(message).encode() + b"\n")

    sys.stdout.write("hello from the log\n")
    sys.stdout.flush()
    if mode == "done":
        record = {"step": 1, "loss": 0.5}
        tell(type="progress", progress=0.5, eta_s=1.0, facts={"step": 1}, metrics={"loss": 0.5})
        tell(type="metric", record=record)
        tell(type="metric", record={"step": 2, "loss": float("nan")})
        tell(type="progress", progress=0.9, eta_s=None)
        tell(type="done", metrics={"test_auc": 0.75, "bad": float("inf")}, result={"note": "made"})
    elif mode == "slow":
        for step in range(6):
            tell(type="progress", progress=step / 6, eta_s=1.0, metrics={"loss": 0.5})
            time.sleep(0.1)
        tell(type="done", metrics={"test_auc": 0.75}, result={})
    elif mode == "talk":
        for number in range(int(arguments[0])):
            sys.stdout.write(f"line {number}\n")
        tell(type="warning", message="careful")
        tell(type="done", metrics={}, result={})
    elif mode == "tell":
        tell(type="done", metrics={arguments[0]: assignment[arguments[0]]}, result={})
    elif mode == "fail":
        tell(type="failed", reason=arguments[0], message="it went wrong")
    elif mode == "exit":
        sys.exit(int(arguments[0]))
    elif mode == "die-once":
        marker = Path(arguments[0])
        if not marker.exists():
            marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        tell(type="done", metrics={"attempt": assignment["attempt"]}, result={})
    elif mode == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    elif mode == "polite":
        signal.signal(signal.SIGTERM, lambda *_: (tell(type="stopped"), os._exit(0)))
        tell(type="progress", progress=0.1, eta_s=None, facts={"pid": os.getpid()})
        time.sleep(600)
    elif mode == "stubborn":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        tell(type="progress", progress=0.1, eta_s=None, facts={"pid": os.getpid()})
        time.sleep(600)
    elif mode == "count":
        with (Path(assignment["folder"]) / "runs").open("a") as runs:
            runs.write(f"{assignment['attempt']}\n")
        tell(type="done", metrics={}, result={})
    elif mode == "late":
        tell(type="progress", progress=0.1, eta_s=None, facts={"pid": os.getpid()})
        until = time.monotonic() + 300  # it may have lost its worker
        while not Path(arguments[0]).exists() and time.monotonic() < until:
            time.sleep(0.02)
        tell(type="done", metrics={"zombie": 1.0}, result={"zombie": True})
    elif mode == "bundle":
        import shutil

        shutil.copytree(arguments[0], Path(assignment["folder"]) / "bundle")
        tell(type="done", metrics={"test_auc": 0.75}, result={})
    elif mode == "grid":
        if assignment["kind"] == "sweep":
            import shutil

            shutil.copytree(arguments[0], Path(assignment["folder"]) / "bundle")
            run = Path(assignment["run"])
            tell(type="done", metrics={"test_auc": 0.75}, result={"run": run.parent.name})
        elif assignment["spec"]["seed"] == 13:
            tell(type="failed", reason="nan_loss", message="The loss is no number.")
        else:
            figures = {"test_auc": 0.7, "valid_auc": 0.7 + assignment["spec"]["seed"] / 100}
            tell(type="done", metrics=figures, result={})
    elif mode == "stale-once":
        import shutil

        bundle, marker = Path(assignment["folder"]) / "bundle", Path(arguments[1])
        if not bundle.exists():
            shutil.copytree(arguments[0], bundle)
        version = assignment["champion"]["version"] if marker.exists() else 99
        marker.touch()
        tell(type="done", metrics={}, result={"comparison": {"version": version}})
    elif mode == "family":
        import subprocess

        grandchild = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        tell(type="progress", progress=0.1, eta_s=None, facts={"pid": os.getpid(), "grandchild": grandchild.pid})
        time.sleep(600)


main()
