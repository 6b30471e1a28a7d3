"""Have `ray start --address` stay on 127.0.0.1, as a hook: RAY_START_HOOK=tests.deploy.ray_on_loopback.stay.

With RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER=0 a head keeps to that address, and a second node is refused; without, 127.0.0.1
is taken for the host's own network address (Ray 2.60).
"""

from typing import Any

from ray._private import ray_constants, services


def stay(_parameters: Any, _is_head: bool) -> None:
    """Allow a second node, and have this process find no other address."""
    ray_constants.ENABLE_RAY_CLUSTER = True
    services.get_node_ip_address = lambda address=None: "127.0.0.1"
