"""The README's blocks run as they stand, on fewer rows and a free port."""

import ast
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

BIN = Path(sys.executable).parent
ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"^```(bash service|bash|python client|python)\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
SMALLER = {"--rows 200000": "--rows 12000", "4096": "1024", "--epochs 3": "--epochs 1", '"epochs": 3': '"epochs": 1'}


def shell(text, folder, port):
    for long, short in SMALLER.items():
        text = text.replace(long, short)
    environment = {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}", "CTRFAST_HOME": str(folder / "var")}
    return ["bash", "-euo", "pipefail", "-c", text.replace("8000", str(port))], environment


def test_the_blocks_run_in_order(tmp_path):
    folder, port = tmp_path, 8000
    (clicks, up, curl, client, python) = (text for _, text in BLOCKS)
    assert [kind for kind, _ in BLOCKS] == ["bash", "bash service", "bash", "python client", "python"]

    def run(text):
        command, environment = shell(text, folder, port)
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, timeout=800, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    assert "12,000 scores" in run(clicks)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command, environment = shell(f"exec env {up}", folder, port)
    service = subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True)
    try:
        assert "ready" in service.stdout.readline()
        answer = run(curl)
        (folder / "client.py").write_text(shell(client, folder, port)[0][-1])
        states, *_, scored = run(f"{sys.executable} client.py").splitlines()
    finally:
        service.send_signal(signal.SIGTERM)
        assert service.wait(timeout=180) == 0
        service.stdout.close()
    assert '"state": "succeeded"' in answer or '"state":"succeeded"' in answer
    assert '"predictions"' in answer
    assert '"unseen"' in answer
    assert states == "['queued', 'running', 'succeeded']"
    version, _, probabilities = scored.partition(" ")
    assert version == "2"
    assert len(ast.literal_eval(probabilities)) == 2
    script = folder / "example.py"
    script.write_text(python.replace("4096", "1024"))
    assert 0 < float(run(f"{sys.executable} {script}").strip().splitlines()[-1]) < 1


def test_every_make_target_that_is_named_exists():
    targets = set(re.findall(r"(?:^    |`)make ([a-z-]+)", README, re.MULTILINE))
    assert {"demo", "test"} <= targets
    done = subprocess.run(["make", "--dry-run", *targets], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
