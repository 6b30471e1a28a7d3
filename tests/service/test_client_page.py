"""The blocks of docs/client.md run as they stand, in order, against a service that trains."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.service.conftest import fill_data_root
from tests.service.test_up import Up

PAGE = (Path(__file__).parents[2] / "docs" / "client.md").read_text()
BIN = Path(sys.executable).parent


def blocks(kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


def test_the_blocks_run_in_order(tmp_path: Path, dataset: Path, raw_file: Path) -> None:
    root = fill_data_root(tmp_path / "home", dataset, raw_file)
    (root / "prepared").rename(root / "clicks")
    (job_file,) = blocks("yaml")
    (tmp_path / "job.yaml").write_text(job_file)
    (tmp_path / "page.py").write_text("".join(blocks("python client")))
    (shell,) = blocks("bash client")
    up = Up(tmp_path / "home")
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("CTRFAST_")},
        "CTRFAST_URL": str(up.client.base_url),
        "PATH": f"{BIN}:{os.environ['PATH']}",
    }

    def output_of(*command: str) -> str:
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=600, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    try:
        said = output_of(sys.executable, "page.py")
        for line in (r"4 steps", r"succeeded ctr 1 0\.\d+", r"\d+ running", r"1 0\.\d+ 2"):
            assert re.search(f"^{line}$", said, re.MULTILINE), (line, said)
        assert said.splitlines()[-2:] == [
            "422 bad_config spec.batch_size",
            "1 job, {'latest': 1, 'stable': 1}",
        ]
        said = output_of("bash", "-euo", "pipefail", "-c", shell)
        assert len(re.findall(r"^\w{22}  train  succeeded  100%", said, re.MULTILINE)) == 2
        assert '"version": 2' in said
    finally:
        up.close()
