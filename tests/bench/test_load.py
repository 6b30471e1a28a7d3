"""The load generator, against a small server whose answers and delays are known."""

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bench.load_plan import Figures, Plan, measure, measure_answered
from bench.turns import SystemFailedError

GOOD = b"HTTP/1.1 200 OK\r\nX-Model-Version: 7\r\nContent-Length: 2\r\n\r\n{}"
BUSY = b"HTTP/1.1 503 Busy\r\nContent-Length: 9\r\n\r\nover full"
LAST = b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\n{}"
Reply = Callable[[bytes], tuple[float, bytes]]  # of a request's body: delay in s, answer


@contextmanager
def serving(reply: Reply) -> Iterator[str]:
    """The address of a server; an answer is written in two parts, an empty one ends the connection."""
    seen_threads: list[asyncio.AbstractEventLoop] = []
    address: list[str] = []
    is_up = threading.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await reader.readuntil(b"\r\n\r\n"):
            length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            delay, text = reply(await reader.readexactly(length))
            await asyncio.sleep(delay)
            writer.write(text[:20])
            await writer.drain()
            writer.write(text[20:])
            if not text or b"close" in text:
                writer.close()
                return

    async def run() -> None:
        async def until_closed(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                await answer(reader, writer)
            except (asyncio.IncompleteReadError, ConnectionError):  # the generator has left
                writer.close()

        server = await asyncio.start_server(until_closed, "127.0.0.1", 0)
        address.append(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/score")
        seen_threads.append(asyncio.get_running_loop())
        is_up.set()
        await ended.wait()
        server.close()

    ended = asyncio.Event()
    thread = threading.Thread(target=asyncio.run, args=(run(),))
    thread.start()
    assert is_up.wait(120)
    try:
        yield address[0]
    finally:
        seen_threads[0].call_soon_threadsafe(ended.set)
        thread.join(120)


def load(tmp_path: Path, reply: Reply, **options: object) -> Figures:
    bodies = tmp_path / "bodies.jsonl"
    bodies.write_text('{"number": 0}\n{"number": 1}\n')
    settings = {"connections": 2, "seconds": 0.3, "warm_up_s": 0.0, **options}
    with serving(reply) as url:
        return measure(Plan(url, bodies, **settings))


def test_closed_loop_sends_the_bodies_in_turn_and_keeps_the_answers(tmp_path: Path) -> None:
    bodies: list[bytes] = []

    def reply(body: bytes) -> tuple[float, bytes]:
        bodies.append(body)
        return 0.001, GOOD

    answers = tmp_path / "answers.jsonl"
    figures = load(tmp_path, reply, answers=answers, connections=1, warm_up_s=0.1, seconds=0.5)
    assert bodies[:3] == [b'{"number": 0}', b'{"number": 1}', b'{"number": 0}']
    assert 0 < figures.requests < len(bodies)  # those of the warm-up do not count
    assert figures.requests_per_s == pytest.approx(figures.requests / 0.5, abs=2)  # one may come too late
    assert figures.answer_bytes == 2 * figures.requests
    assert figures.errors == 0
    assert 1 <= figures.p50_ms <= figures.p99_ms <= figures.p99_9_ms <= figures.max_ms
    kept = [json.loads(line) for line in answers.read_text().splitlines()]
    assert {(line["body"], line["version"], line["answer"]) for line in kept} == {(0, "7", "{}"), (1, "7", "{}")}
    assert sum(line["count"] for line in kept) == figures.requests


def test_open_loop_counts_the_wait_of_requests_that_the_server_kept_waiting(tmp_path: Path) -> None:
    # 60 requests in 0.3 s, of which one connection serves 50 a second: the last waits for most of the 1.2 s.
    figures = load(tmp_path, lambda _: (0.02, GOOD), connections=1, rate=200.0)
    assert 30 < figures.requests < 100
    assert figures.max_ms > 200  # each alone takes 20
    assert figures.requests_per_s < figures.requests / 0.3  # some were answered after the time


def test_other_statuses_and_lost_connections_are_errors(tmp_path: Path) -> None:
    busy = load(tmp_path, lambda body: (0.001, GOOD if b"0" in body else BUSY))
    assert busy.error_kinds.keys() == {"503"}
    assert busy.first_error == "over full"
    assert busy.errors == busy.error_kinds["503"] > 0 < busy.requests
    lost = load(tmp_path, lambda body: (0.001, GOOD if b"0" in body else b""))
    assert lost.error_kinds.keys() == {"connection lost"}
    assert lost.requests > 0


def test_a_connection_that_the_server_ends_in_good_order_is_opened_again(tmp_path: Path) -> None:
    figures = load(tmp_path, lambda _: (0.001, LAST))
    assert figures.errors == 0
    assert figures.requests > 2  # as many as there are connections, and more


def test_what_it_cannot_read_or_reach_ends_the_run(tmp_path: Path) -> None:
    with pytest.raises(SystemFailedError, match="no Content-Length"):
        load(tmp_path, lambda _: (0, b"HTTP/1.1 200 OK\r\n\r\n"))
    with serving(lambda _: (0, GOOD)) as url:
        pass
    with pytest.raises(SystemFailedError, match="Nothing answers there: Connection refused"):
        measure(Plan(url, tmp_path / "bodies.jsonl", connections=1, seconds=1))


def test_a_load_without_an_answer_in_time_is_a_failure_where_answers_are_needed(tmp_path: Path) -> None:
    bodies = tmp_path / "bodies.jsonl"
    bodies.write_text("{}\n")
    with serving(lambda _: (0, BUSY)) as url, pytest.raises(SystemFailedError, match=r"503.*the first: over full"):
        measure_answered(Plan(url, bodies, connections=1, seconds=0.1, warm_up_s=0))
