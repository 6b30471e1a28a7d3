"""Memory of GPUs, as TensorFlow sees it.

device_memory(["/device:GPU:0"])      # bytes
"""

from __future__ import annotations

from collections.abc import Sequence

from tensorflow.python.client import device_lib


def device_memory(devices: Sequence[str]) -> int | None:
    """Bytes that TensorFlow may take on each of these devices; `None` for CPUs, whose memory is the machine's.

    Args:
        devices: names of GPUs, or of CPUs.
    """
    if "GPU" not in devices[0]:
        return None
    own = {f"/device:{name.rpartition('/device:')[2]}" for name in devices}  # in a cluster, without the task's name
    return min(int(device.memory_limit) for device in device_lib.list_local_devices() if device.name in own)
