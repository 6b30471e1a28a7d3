"""The few things that ctrfast does with an object store, each error one clear sentence.

    objects = connect()
    objects.write(address / "manifest.json", data, new=True)      # False where somebody has written it before

Credentials, region and endpoint are those of the environment: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and
AWS_SESSION_TOKEN, or the role that the machine or pod gives; AWS_REGION; AWS_ENDPOINT_URL for MinIO and others. What
may succeed later (network, overload, a time-out) is tried five times and is a `StorageError`, which a job's retry
mends; what will not is a `ConfigError`.

boto3 and not `pyarrow.fs`, by which raw files are read: arrow's S3 file system has no write that fails where an object
exists, which is what makes a publication atomic, and gives errors as text alone.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from ctrfast.errors import ConfigError, DependencyError, StoreUnavailableError
from ctrfast.store.address import Address

_TRIES = 5
_CONNECT_S, _READ_S = 5, 60
_MOST_REMOVED = 1000  # in one request, says S3
_ABSENT = {"404", "NoSuchKey", "NotFound"}
_NO_BUCKET = "NoSuchBucket"
_TAKEN = {"412", "PreconditionFailed"}
_AT_THE_SAME_TIME = {"409", "ConditionalRequestConflict", "OperationAborted"}
_UNKNOWN_CONDITION = {"501", "NotImplemented"}
_REFUSED = {"403", "AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken"}


class Objects:
    """Objects by address. Threads may share it.

    Args:
        client: of boto3, for S3.
    """

    def __init__(self, client: Any) -> None:
        self._client = client

    def read(self, address: Address) -> bytes | None:
        """An object's bytes; None where there is none."""
        with _told(address) as absent:
            data: bytes = self._client.get_object(Bucket=address.bucket, Key=address.key)["Body"].read()
        return None if absent else data

    def write(self, address: Address, data: bytes, *, new: bool) -> bool:
        """Write a small object at once.

        Args:
            address: where.
            data: what.
            new: only where there is none. A store that knows no conditional write is asked first instead: two writers
                at the same moment then both succeed, and the later one stays.

        Returns: False where `new` and there is one.
        """
        if not new:
            with _told(address):
                self._client.put_object(Bucket=address.bucket, Key=address.key, Body=data)
            return True
        for attempt in range(_TRIES):
            code = self._write_new(address, data)
            if code in _AT_THE_SAME_TIME:
                time.sleep(0.1 * 2**attempt)
            elif code in _UNKNOWN_CONDITION:
                return self.read(address) is None and self.write(address, data, new=False)
            else:
                return code is None
        raise StoreUnavailableError(f"{address} is being written by others all the time. Try again later.")

    def upload(self, file: Path, address: Address) -> None:
        """Copy a file into the store; large ones in parts."""
        with _told(address):
            self._client.upload_file(str(file), address.bucket, address.key)

    def download(self, address: Address, file: Path) -> bool:
        """Copy an object to a file; False where there is none."""
        with _told(address) as absent:
            self._client.download_file(address.bucket, address.key, str(file))
        return not absent

    def sizes(self, address: Address) -> dict[str, int]:
        """Bytes of each object below an address, by the rest of its key."""
        prefix = f"{address.key}/" if address.key else ""
        found: dict[str, int] = {}
        with _told(address):
            for page in self._client.get_paginator("list_objects_v2").paginate(Bucket=address.bucket, Prefix=prefix):
                found |= {entry["Key"].removeprefix(prefix): entry["Size"] for entry in page.get("Contents", ())}
        return found

    def remove(self, address: Address, names: Sequence[str] = ()) -> None:
        """Remove objects below an address, or the one at it; those that are not there do not matter."""
        keys = [(address / name).key for name in names] or [address.key]
        with _told(address):
            for start in range(0, len(keys), _MOST_REMOVED):
                batch = {"Objects": [{"Key": key} for key in keys[start : start + _MOST_REMOVED]], "Quiet": True}
                self._client.delete_objects(Bucket=address.bucket, Delete=batch)

    def _write_new(self, address: Address, data: bytes) -> str | None:
        """Returns why a conditional write was not done."""
        from botocore.exceptions import ClientError

        with _told(address):
            try:
                self._client.put_object(Bucket=address.bucket, Key=address.key, Body=data, IfNoneMatch="*")
            except ClientError as error:
                code = _code(error)
                if code not in _TAKEN | _AT_THE_SAME_TIME | _UNKNOWN_CONDITION:
                    raise
                return code
        return None


def connect() -> Objects:
    """The store that the environment names.

    Raises:
        DependencyError: boto3 is not installed.
        ConfigError: an AWS_ variable cannot be used.
    """
    return _connect(os.getpid())  # a connection must not be shared with a child of a fork


@cache
def _connect(_pid: int) -> Objects:
    try:
        import boto3
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError
    except ImportError as error:
        raise DependencyError(
            "Artefacts in an object store need boto3. Install it with `pip install 'ctrfast[s3]'`."
        ) from error
    retries = {"total_max_attempts": _TRIES, "mode": "standard"}
    config = Config(connect_timeout=_CONNECT_S, read_timeout=_READ_S, retries=retries)
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1"
    try:
        return Objects(boto3.session.Session().client("s3", region_name=region, config=config))
    except (BotoCoreError, ValueError) as error:
        raise ConfigError(
            f"The AWS_ variables cannot be used ({type(error).__name__}). "
            "Check AWS_ENDPOINT_URL, as http://minio:9000, AWS_REGION and AWS_PROFILE."
        ) from None


def _code(error: Any) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


@contextmanager
def _told(address: Address) -> Iterator[list[str]]:
    """Turn the store's errors into ours; an object that is not there leaves a word in the list instead.

    No text of the client's goes into a message: it may hold a query with a signature.
    """
    from boto3.exceptions import Boto3Error
    from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, PartialCredentialsError

    absent: list[str] = []
    try:
        yield absent
    except ClientError as error:
        if _code(error) in _ABSENT:
            absent.append(_code(error))
            return
        raise _of_answer(address, error) from None
    except (NoCredentialsError, PartialCredentialsError):
        raise ConfigError(
            f"{address} cannot be reached without credentials. Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY."
        ) from None
    except (BotoCoreError, Boto3Error) as error:
        if isinstance(error.__context__, ClientError):  # an upload of a file hides it
            raise _of_answer(address, error.__context__) from None
        raise StoreUnavailableError(
            f"The store of {address} cannot be reached ({type(error).__name__}). "
            "Check the network and AWS_ENDPOINT_URL, and try again."
        ) from None


def _of_answer(address: Address, error: Any) -> Exception:
    code = _code(error)
    if code == _NO_BUCKET:
        return ConfigError(f"There is no bucket {address.bucket!r}. Make it, or correct the address {address}.")
    if code in _REFUSED:
        return ConfigError(
            f"The store refuses {error.operation_name} at {address} ({code}). Check the credentials and their rights."
        )
    return StoreUnavailableError(f"The store could not do {error.operation_name} at {address} ({code}). Try again.")
