"""What must be there before the service starts: the bucket, the tables, and a key to read metrics with.

    python setup.py /keys/metrics

Each step may be repeated: it leaves what is there as it is.
"""

import os
import subprocess
import sys
from pathlib import Path

import boto3
from botocore.exceptions import ClientError

from service.settings import Settings


def make_bucket(bucket: str) -> None:
    """Make it, unless it is ours already."""
    client = boto3.client("s3", region_name=os.environ.get("AWS_REGION"))
    try:
        client.create_bucket(Bucket=bucket)
    except ClientError as error:
        if error.response["Error"]["Code"] not in {"BucketAlreadyOwnedByYou", "BucketAlreadyExists"}:
            raise


def make_key(file: Path) -> None:
    """A key that reads metrics, in a volume that Prometheus alone sees besides."""
    if file.is_file() and file.stat().st_size:
        return
    command = ["ctrfast-service", "create-key", "metrics", "--scope", "admin"]
    made = subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout
    partial = file.with_name(f".{file.name}")
    partial.write_bytes(made.strip())
    partial.chmod(0o444)  # Prometheus runs as another user
    partial.replace(file)


def main() -> None:
    """Do all of it."""
    artifacts = Settings().artifacts
    if artifacts is None:
        sys.exit("CTRFAST_ARTIFACTS must name the bucket, as s3://ctrfast/artifacts.")
    make_bucket(artifacts.removeprefix("s3://").partition("/")[0])
    subprocess.run(["ctrfast-service", "migrate"], check=True)
    make_key(Path(sys.argv[1]))


if __name__ == "__main__":
    main()
