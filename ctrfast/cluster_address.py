"""Where the workers of a run are: in the Ray cluster that `CTRFAST_RAY_ADDRESS` names, or on this machine."""

from __future__ import annotations

import os

from ctrfast.config import ClusterConfig

_ADDRESS = "CTRFAST_RAY_ADDRESS"


def cluster_address() -> str | None:
    """The Ray cluster's address, as `ray.init` takes it; `None` for a Ray that is started here."""
    return os.environ.get(_ADDRESS) or None


def is_elsewhere(cluster: ClusterConfig) -> bool:
    """Whether the work is done on other machines than this one."""
    return cluster.workers is not None and cluster_address() is not None
