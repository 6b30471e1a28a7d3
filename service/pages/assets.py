"""Scripts, styles and vendored libraries, under one hash of them all: `/ui/static/HASH/jobs.js`.

Modules import each other by relative names, so all of them share the hash, and a browser keeps each for good: whatever
changes makes a new address for everything. The files are read once and held in memory, as they are and compressed; no
path of a caller is opened.
"""

from __future__ import annotations

import gzip
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Header
from fastapi.responses import Response

from service.negotiation import takes_gzip
from service.problems import NotFoundError

STATIC = "/ui/static"
OWN = Path(__file__).parent / "static"
VENDOR = Path(__file__).parent / "vendor"
VENDORED = ("uplot/uPlot.iife.min.js", "uplot/uPlot.min.css")  # what browsers load of it

_IMPORTED = re.compile(r'^(?:import|export) [^;]*? ?from "\./([\w.]+)";', re.MULTILINE)
_TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
_FOR_GOOD = "public, max-age=31536000, immutable"

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True)
class Assets:
    """Contents by name, the same compressed (gzip), and the hash of them all."""

    contents: Mapping[str, bytes]
    compressed: Mapping[str, bytes]
    hash: str

    def address(self, name: str) -> str:
        """Where a browser finds an asset. Raises KeyError where there is none."""
        self.contents[name]
        return f"{STATIC}/{self.hash}/{name}"

    def imported(self, name: str) -> list[str]:
        """The modules that a module needs before it runs, with those that they need, by name."""
        found: set[str] = set()
        unread = [name]
        while unread:
            new = set(_IMPORTED.findall(self.contents[unread.pop()].decode())) - found
            found |= new
            unread += new
        return sorted(found)


@cache
def assets() -> Assets:
    """All assets, as they are installed."""
    files = {file.name: file for file in OWN.iterdir()} | {name: VENDOR / name for name in VENDORED}
    contents = {name: files[name].read_bytes() for name in sorted(files)}
    whole = hashlib.sha256()
    for name, content in contents.items():
        whole.update(f"{name} {len(content)}\n".encode() + content)
    compressed = {name: gzip.compress(content, mtime=0) for name, content in contents.items()}
    return Assets(contents, compressed, whole.hexdigest()[:16])


@router.get(f"{STATIC}/{{tree}}/{{name:path}}")
async def get_asset(tree: str, name: str, accept_encoding: Annotated[str, Header()] = "") -> Response:
    """An asset of this version, compressed where the caller takes that. 404: another version's."""
    known = assets()
    if tree != known.hash or name not in known.contents:
        raise NotFoundError("asset", name[:100])
    headers = {
        "Content-Type": f"{_TYPES[Path(name).suffix]}; charset=utf-8",
        "Cache-Control": _FOR_GOOD,
        "Vary": "Accept-Encoding",
    }
    if not takes_gzip(accept_encoding):
        return Response(known.contents[name], headers=headers)
    return Response(known.compressed[name], headers={**headers, "Content-Encoding": "gzip"})
