"""A load generator in a process of its own, as cheap as Python allows: uvloop, one protocol, requests built beforehand.

    python -m bench.load --url http://127.0.0.1:8000/v1/models/m:predict --bodies FILE.jsonl --connections 8 --seconds 5
    python -m bench.load ... --rate 1500 --connections 64 --header 'Authorization: Bearer ...'

Closed loop: each connection sends its next request when the last one is answered. Open loop (`--rate`): requests are
due at the moments of a Poisson process whatever the server does, on the next free connection; the latency counts from
the moment when a request was due, so that a stalled server cannot hide the requests that it kept waiting (no
coordinated omission). Prints one JSON object, `Figures`.

A line of the file of bodies is one body; they are sent in turn. Latencies are of requests answered with 200; all else
is an error: another status, a connection lost or refused, no answer in time.
"""

from __future__ import annotations

import argparse
import array
import asyncio
import gc
import json
import math
import random
import re
import time
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from urllib.parse import urlsplit

import uvloop

from bench.kernel_timer import KernelTimer
from bench.load_plan import Figures, Plan
from bench.turns import SystemFailedError

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_VERSION = re.compile(rb"\r\nx-model-version: *([^\r]*)", re.IGNORECASE)
_CLOSE = re.compile(rb"\r\nconnection: *close", re.IGNORECASE)
_ANSWER_TIMEOUT_S = 15  # after the last request
_RECONNECT_S = 0.02
_QUANTILES = {"p50_ms": 0.5, "p99_ms": 0.99, "p99_9_ms": 0.999}


class _Connection(asyncio.Protocol):
    """One keep-alive connection with at most one request under way."""

    def __init__(self, load: _Load) -> None:
        self._load = load
        self._transport: asyncio.Transport
        self._unread = b""
        self.number: int | None = None  # of the body under way
        self.due = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # a TCP connection's is a Transport
        self._load.is_free(self)

    def send(self, number: int, due: float) -> None:
        self.number, self.due = number, due
        self._transport.write(self._load.requests[number])

    def data_received(self, data: bytes) -> None:
        if self._unread:
            data = self._unread + data
        end = data.find(b"\r\n\r\n")
        if end < 0:
            self._unread = data
            return
        length = _LENGTH.search(data, 0, end)
        if length is None:
            self._load.stop(SystemFailedError("An answer has no Content-Length; the generator reads no other."))
            return
        if len(data) < end + 4 + int(length[1]):
            self._unread = data
            return
        self._unread = b""
        number, self.number = self.number, None
        self._load.answered(number, self.due, data, end)
        if _CLOSE.search(data, 0, end):
            self._transport.close()
        else:
            self._load.is_free(self)

    def connection_lost(self, error: Exception | None) -> None:  # noqa: ARG002  (the base class's)
        self._load.lost(self)

    def close(self) -> None:
        self._transport.abort()


class _Load:
    """The whole of a run: what is due, the connections, what came back."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        address = urlsplit(plan.url)
        self._host, self._port = address.hostname, address.port or 80
        bodies = [line.encode() for line in plan.bodies.read_text(encoding="utf-8").splitlines() if line]
        if address.scheme != "http" or not bodies:
            raise SystemFailedError("`url` must start with http:// and `bodies` must hold a body on each line.")
        fields = "".join(f"{header}\r\n" for header in plan.headers)
        head = f"POST {address.path} HTTP/1.1\r\nHost: {address.netloc}\r\nContent-Type: application/json\r\n{fields}"
        self.requests = [f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body for body in bodies]
        self._next = 0
        self._start = self._end = math.inf  # of what counts
        self._idle: list[_Connection] = []
        self._open: set[_Connection] = set()
        self._waiting: deque[tuple[int, float]] = deque()
        self._latencies = array.array("d")
        self._in_time, self._answer_bytes, self._first_error = 0, 0, ""
        self._errors: Counter[str] = Counter()
        self._answers: Counter[tuple[int, bytes, bytes]] = Counter()
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> Figures:
        """Connect, warm up, send for so many seconds, and wait for what is under way."""
        loop = asyncio.get_running_loop()
        self._failed: asyncio.Future[None] = loop.create_future()
        try:
            for _ in range(self._plan.connections):
                await self._connect()
        except OSError as error:
            raise SystemFailedError(f"Nothing answers there: {error.strerror or error}.") from error
        now, cpu = time.perf_counter(), time.process_time()
        self._start = now + self._plan.warm_up_s
        self._end = self._start + self._plan.seconds
        if self._plan.rate is None:
            for _ in range(len(self._idle)):
                self._idle.pop().send(self._number(), now)
        else:
            self._follow_schedule(loop, now, self._plan.rate)
        await self._rest(self._end - time.perf_counter())
        cpu = time.process_time() - cpu
        waited_until = time.perf_counter() + _ANSWER_TIMEOUT_S
        while self._under_way() and time.perf_counter() < waited_until:
            await self._rest(0.01)
        unanswered = [(connection.number, connection.due) for connection in self._open if connection.number is not None]
        for _, due in [*unanswered, *self._waiting]:
            self._count_error("no answer", due)
        return self._figures(cpu / (self._plan.warm_up_s + self._plan.seconds))

    def is_free(self, connection: _Connection) -> None:
        """The connection can take a request: the longest due one, or, in a closed loop, the next."""
        self._open.add(connection)
        if self._waiting:
            connection.send(*self._waiting.popleft())
        elif self._plan.rate is not None or self._start == math.inf:  # it begins when all connections are there
            self._idle.append(connection)
        elif (now := time.perf_counter()) < self._end:
            connection.send(self._number(), now)

    def answered(self, number: int | None, due: float, data: bytes, end: int) -> None:
        """Count the answer, of which the first `end` bytes are the head."""
        now = time.perf_counter()
        if number is None:
            self.stop(SystemFailedError(f"An answer came without a request: {data[:200]!r}."))
        elif data[9:12] != b"200":
            self._count_error(data[9:12].decode("latin-1"), due)
            self._first_error = self._first_error or data[end + 4 : end + 404].decode("utf-8", "replace")
        elif due >= self._start:
            self._latencies.append(now - due)
            self._in_time += now < self._end
            self._answer_bytes += len(data) - end - 4
            if self._plan.answers is not None:
                version = _VERSION.search(data, 0, end)
                self._answers[number, version[1] if version else b"", data[end + 4 :]] += 1

    def lost(self, connection: _Connection) -> None:
        """The server closed the connection: an error if a request was under way; open another."""
        self._open.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)
        if connection.number is not None:
            self._count_error("connection lost", connection.due)
        if self._waiting or time.perf_counter() < self._end:
            task = asyncio.get_running_loop().create_task(self._reconnect())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def stop(self, error: SystemFailedError) -> None:
        """End the run with this error."""
        if not self._failed.done():
            self._failed.set_exception(error)

    async def _rest(self, seconds: float) -> None:
        await asyncio.wait([self._failed], timeout=max(seconds, 0))
        if self._failed.done():
            self._failed.result()

    async def _connect(self) -> None:
        await asyncio.get_running_loop().create_connection(lambda: _Connection(self), self._host, self._port)

    async def _reconnect(self) -> None:
        while True:
            try:
                return await self._connect()
            except OSError:
                self._count_error("connection refused", time.perf_counter())
                await asyncio.sleep(_RECONNECT_S)
                if not self._waiting and time.perf_counter() >= self._end:
                    return None

    def _follow_schedule(self, loop: asyncio.AbstractEventLoop, now: float, rate: float) -> None:
        """Send at each moment of the Poisson process, woken by the kernel: the loop's timers count milliseconds."""
        chance = random.Random(self._plan.seed)
        due = now + chance.expovariate(rate)
        timer = KernelTimer()

        def send_due() -> None:
            nonlocal due
            timer.clear()
            now = time.perf_counter()
            while due <= now and due < self._end:
                number = self._number()
                if self._idle:
                    self._idle.pop().send(number, due)
                else:
                    self._waiting.append((number, due))
                due += chance.expovariate(rate)
            if due < self._end:
                timer.wake_at(due)
            else:
                loop.remove_reader(timer.descriptor)
                timer.close()

        loop.add_reader(timer.descriptor, send_due)
        timer.wake_at(due)

    def _number(self) -> int:
        number = self._next
        self._next = (number + 1) % len(self.requests)
        return number

    def _under_way(self) -> bool:
        return bool(self._waiting) or any(connection.number is not None for connection in self._open)

    def _count_error(self, kind: str, due: float) -> None:
        if due >= self._start:
            self._errors[kind] += 1

    def _figures(self, cpu: float) -> Figures:
        for connection in list(self._open):
            connection.close()
        if self._plan.answers is not None:
            self._write_answers(self._plan.answers)
        ordered = sorted(self._latencies)
        return Figures(
            requests=len(ordered),
            requests_per_s=self._in_time / self._plan.seconds,
            **{name: _quantile(ordered, share) for name, share in _QUANTILES.items()},
            max_ms=ordered[-1] * 1e3 if ordered else None,
            errors=self._errors.total(),
            error_kinds=dict(self._errors),
            first_error=self._first_error or None,
            answer_bytes=self._answer_bytes,
            seconds=self._plan.seconds,
            connections=self._plan.connections,
            rate=self._plan.rate,
            generator_cpu=cpu,
        )

    def _write_answers(self, file: Path) -> None:
        lines = (
            json.dumps({"body": number, "version": version.decode(), "answer": answer.decode(), "count": count})
            for (number, version, answer), count in self._answers.items()
        )
        file.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def _quantile(ordered: Sequence[float], share: float) -> float | None:
    """In milliseconds; the least latency that so large a share of the requests did not exceed."""
    return ordered[max(math.ceil(share * len(ordered)) - 1, 0)] * 1e3 if ordered else None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", required=True)
    parser.add_argument("--bodies", type=Path, required=True, help="a file with a JSON body on each line")
    parser.add_argument("--connections", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--warm-up", dest="warm_up_s", type=float, default=0.5, help="seconds before, not counted")
    parser.add_argument("--rate", type=float, help="requests/s of an open loop; closed if not given")
    parser.add_argument("--header", dest="headers", action="append", default=[], help="sent with every request")
    parser.add_argument("--seed", type=int, default=1, help="of the moments when requests are due")
    parser.add_argument("--answers", type=Path, help="keep the distinct answers, with their X-Model-Version and count")
    given = vars(parser.parse_args())
    gc.freeze()
    gc.disable()  # a collection would show as a slow answer
    try:
        figures = uvloop.run(_Load(Plan(**{**given, "headers": tuple(given["headers"])})).run())
    except (SystemFailedError, OSError) as error:
        raise SystemExit(str(error)) from None
    print(json.dumps(asdict(figures)))


if __name__ == "__main__":
    main()
