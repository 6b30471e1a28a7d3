"""Scripts, styles and vendored libraries, under one hash of them all: `/ui/static/HASH/jobs.js`.

Modules import each other by relative names, so all of them share the hash, and a browser keeps each for good: whatever
changes makes a new address for everything. The files are read once and held in memory; no path of a caller is opened.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from fastapi import APIRouter
from fastapi.responses import Response

from service.problems import NotFoundError

STATIC = "/ui/static"
OWN = Path(__file__).parent / "static"
VENDOR = Path(__file__).parent / "vendor"
VENDORED = ("uplot/uPlot.iife.min.js", "uplot/uPlot.min.css")  # what browsers load of it

_TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
_FOR_GOOD = "public, max-age=31536000, immutable"

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True)
class Assets:
    """Contents by name, and the hash of them all."""

    contents: Mapping[str, bytes]
    hash: str

    def address(self, name: str) -> str:
        """Where a browser finds an asset. Raises KeyError where there is none."""
        self.contents[name]
        return f"{STATIC}/{self.hash}/{name}"


@cache
def assets() -> Assets:
    """All assets, as they are installed."""
    files = {file.name: file for file in OWN.iterdir()} | {name: VENDOR / name for name in VENDORED}
    contents = {name: files[name].read_bytes() for name in sorted(files)}
    whole = hashlib.sha256()
    for name, content in contents.items():
        whole.update(f"{name} {len(content)}\n".encode() + content)
    return Assets(contents, whole.hexdigest()[:16])


@router.get(f"{STATIC}/{{tree}}/{{name:path}}")
async def get_asset(tree: str, name: str) -> Response:
    """An asset of this version. 404: another version's."""
    known = assets()
    content = known.contents.get(name) if tree == known.hash else None
    if content is None:
        raise NotFoundError("asset", name[:100])
    return Response(
        content, headers={"Content-Type": f"{_TYPES[Path(name).suffix]}; charset=utf-8", "Cache-Control": _FOR_GOOD}
    )
