"""Where an artefact lies in an object store: `s3://bucket/prefix`, and nothing else.

    Address.parse("s3://models/ctr/7") / "manifest.json"

Credentials, region and endpoint come from the environment alone (docs/storage.md): an address that holds any is
refused, and shown without them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from ctrfast.errors import ConfigError

SCHEME = "s3://"
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]").fullmatch
_LONGEST_KEY = 512  # of the 1,024 bytes that a store allows; names of files are added


@dataclass(frozen=True)
class Address:
    """A bucket, and a key or the beginning of keys in it; the key is empty for all of the bucket."""

    bucket: str
    key: str

    @classmethod
    def parse(cls, text: str, path: str | None = None) -> Self:
        """Read an address.

        Args:
            text: `s3://bucket/prefix`; a last `/` says nothing.
            path: the setting that holds it, for the error.

        Raises:
            ConfigError: it is none, or it holds credentials or options.
        """
        rest = text.removeprefix(SCHEME)
        if "@" in rest or "?" in rest:
            shown = SCHEME + rest.rpartition("@")[2].partition("?")[0]
            raise ConfigError(
                f"An address in an object store must hold neither credentials nor options. Got {shown} with some. "
                "Set AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_ENDPOINT_URL instead.",
                path=path,
            )
        bucket, _, key = rest.partition("/")
        key = key.removesuffix("/")
        parts = key.split("/") if key else []
        is_plain = key.isprintable() and len(key.encode()) <= _LONGEST_KEY and not {"", ".", ".."} & set(parts)
        if not text.startswith(SCHEME) or not _BUCKET(bucket) or not is_plain:
            raise ConfigError(f"An address must read s3://bucket/prefix. Got {text[:200]!r}. Correct it.", path=path)
        return cls(bucket, key)

    def __str__(self) -> str:
        return f"{SCHEME}{self.bucket}/{self.key}"

    def __truediv__(self, name: str) -> Address:
        return Address(self.bucket, f"{self.key}/{name}" if self.key else name)

    @property
    def name(self) -> str:
        """Its last part."""
        return self.key.rpartition("/")[2] or self.bucket

    def is_under(self, root: Address) -> bool:
        """Whether it is `root` or lies below it."""
        return self.bucket == root.bucket and (not root.key or f"{self.key}/".startswith(f"{root.key}/"))


def is_stored(given: Path | str) -> bool:
    """Whether this names something in an object store, and not a file of this machine."""
    return isinstance(given, str) and given.startswith(SCHEME)
