"""Importing starts nothing, and the API process knows no TensorFlow, nor OpenTelemetry's SDK where traces are off."""

import json
import subprocess
import sys
from pathlib import Path

PROGRAM = """
import json, sys
import service.cli, service.app, service.api
from service.settings import Settings
from service.traces import traces_from_environment
traces_from_environment("x")
app = service.app.create_app(Settings(home={home!r}))
app.openapi()
unwanted = ("tensorflow", "tf_keras", "keras", "ray", "pandas", "sklearn", "alembic", "matplotlib")
unwanted += ("opentelemetry.sdk", "opentelemetry.exporter")
heavy = [name for name in unwanted if name in sys.modules]
print(json.dumps([heavy, sorted(name for name in sys.modules if name in ("ctrfast.train", "ctrfast.export"))]))
"""


def test_the_api_imports_no_tensorflow(tmp_path: Path) -> None:
    home = tmp_path / "home"
    output = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(home=str(home))], capture_output=True, text=True, check=True, timeout=240
    ).stdout
    assert json.loads(output) == [[], []]
    assert not home.exists()
