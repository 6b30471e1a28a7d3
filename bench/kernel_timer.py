"""A timer of the Linux kernel (timerfd) that an event loop can watch, exact to some microseconds.

An event loop's own timers count whole milliseconds, which is longer than many requests take.

    timer = KernelTimer()
    loop.add_reader(timer.descriptor, on_time)      # on_time calls timer.clear(), then timer.wake_at(...) for the next
    timer.wake_at(time.perf_counter() + 0.0003)
"""

from __future__ import annotations

import ctypes
import os
import time

_ABSOLUTE = 1  # TFD_TIMER_ABSTIME
_NOT_BLOCKING = os.O_NONBLOCK | os.O_CLOEXEC
_SOONEST_NS = 1  # 0 would disarm it


class _Time(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


class _Setting(ctypes.Structure):
    _fields_ = (("interval", _Time), ("value", _Time))


class KernelTimer:
    """descriptor: becomes readable when the time has come."""

    def __init__(self) -> None:
        self._library = ctypes.CDLL(None, use_errno=True)
        self.descriptor = _checked(self._library.timerfd_create(time.CLOCK_MONOTONIC, _NOT_BLOCKING))

    def wake_at(self, moment: float) -> None:
        """Arm it for a moment of `time.perf_counter()`; one that is over comes at once."""
        seconds, nanoseconds = divmod(max(int(moment * 1e9), _SOONEST_NS), 1_000_000_000)
        setting = _Setting(value=_Time(seconds, nanoseconds))
        _checked(self._library.timerfd_settime(self.descriptor, _ABSOLUTE, ctypes.byref(setting), None))

    def clear(self) -> None:
        """Take note that it has fired."""
        os.read(self.descriptor, 8)

    def close(self) -> None:
        os.close(self.descriptor)


def _checked(answer: int) -> int:
    if answer < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return answer
