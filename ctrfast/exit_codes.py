"""What a process's exit code tells of its end."""

from __future__ import annotations

import signal


def signal_name(code: int) -> str | None:
    """The signal that ended a process, as in `SIGKILL`; None where it ended by itself.

    Args:
        code: as `subprocess` has it: negative, the signal's number.
    """
    if code >= 0:
        return None
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"
