"""Servers as processes: waited for, looked at, ended with their children."""

import sys
import time

import psutil
import pytest

from bench.server import Probe, Server, free_port
from bench.turns import SystemFailedError

PROGRAM = """
import subprocess, sys
from http.server import BaseHTTPRequestHandler, HTTPServer

port, status, child = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
started = subprocess.Popen([sys.executable, "-c", child])

class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"])) + str(started.pid).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

HTTPServer(("127.0.0.1", port), Handler).serve_forever()
"""
DEAF_CHILD = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)"


def start(status: int) -> Server:
    port = free_port()
    command = [sys.executable, "-c", PROGRAM, str(port), str(status), DEAF_CHILD]
    return Server("small", command, Probe(f"http://127.0.0.1:{port}/", b"pid "))


def test_it_is_waited_for_and_ended_with_its_children():
    with start(200) as server:
        text, _, child = server.answer.text.partition(" ")
        assert text == "pid"
        assert psutil.pid_exists(int(child))
        memory = server.memory_bytes()  # before the other, as the child may still be growing
        resident = server.resident_bytes()
        assert 2**20 < memory <= resident + 2**20
        assert resident > psutil.Process(int(child)).memory_info().rss
    deadline = time.monotonic() + 120
    while psutil.pid_exists(int(child)) and psutil.Process(int(child)).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_one_that_answers_500_or_ends_is_told_at_once_with_its_last_words():
    with pytest.raises(SystemFailedError, match="small answered 500: pid"):
        start(500)
    program = [sys.executable, "-c", "import sys; sys.exit('no model here')"]
    with pytest.raises(SystemFailedError, match="small ended: no model here"):
        Server("small", program, Probe(f"http://127.0.0.1:{free_port()}/"))
