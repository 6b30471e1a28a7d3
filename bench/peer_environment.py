"""The environment of the other systems, apart from ctrfast's own: its Python, and which versions it holds."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path

PEERS = Path(".venv-peers/bin/python")


def peer_versions(packages: Sequence[str], python: Path | None = None) -> dict[str, str]:
    """Versions by package, of those that are installed there. python: of another environment than `PEERS`."""
    python = PEERS if python is None else python
    if not python.exists():
        return {}
    code = (
        "import json; from importlib.metadata import distributions\n"
        "print(json.dumps({found.name: found.version for found in distributions()}))"
    )
    installed = json.loads(subprocess.run([python, "-c", code], check=True, capture_output=True, text=True).stdout)
    return {name: installed[name] for name in packages if name in installed}
