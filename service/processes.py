"""`ctrfast-service up`: one API and some workers as children of one process that ends them all.

The socket is bound here, so a port in use is told at once, and connections wait while an API that died is started
again. Each child leads a session of its own (a Ctrl-C in the terminal reaches this process alone, which then ends them
in order) and is ended by Linux should this process die.
"""

from __future__ import annotations

import errno
import http.client
import ipaddress
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence

from service.database import Database
from service.keys import KeyStore
from service.settings import Settings

log = logging.getLogger("service.up")

_LOOK_S = 0.1
_BACKLOG = 2048
_STABLE_S = 10.0  # a child that lived this long and died is started again at once
_MOST_FAILURES = 5  # in a row, each within that time
_KILL_MARGIN_S = 4.0


class StartError(Exception):
    """The service cannot start; the message is for the person at the terminal."""


class ManagedProcess:
    """A child that is started again when it dies."""

    def __init__(self, name: str, arguments: Sequence[str], fds: Sequence[int], environment: dict[str, str]) -> None:
        self.name = name
        self._command = [sys.executable, "-m", "service.cli", *arguments, "--parent", str(os.getpid())]
        self._fds = tuple(fds)
        self._environment = environment
        self._failures = 0
        self._start()

    def look_after(self) -> None:
        """Start the child again if it has died.

        Raises:
            StartError: it dies again and again.
        """
        code = self.process.poll()
        if code is None:
            return
        self._failures = self._failures + 1 if time.monotonic() - self._started < _STABLE_S else 1
        if self._failures >= _MOST_FAILURES:
            raise StartError(f"The {self.name} ended {self._failures} times in a row, the last time with code {code}.")
        log.warning("the %s ended with code %s; it is started again", self.name, code)
        self._start()

    def _start(self) -> None:
        self._started = time.monotonic()
        self.process = subprocess.Popen(
            self._command, pass_fds=self._fds, env=self._environment, stdin=subprocess.DEVNULL, start_new_session=True
        )


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches the address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def bind(host: str, port: int) -> socket.socket:
    """A listening socket.

    Raises:
        StartError: the port is in use, or the address is not this machine's.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise StartError(f"The address {host} cannot be used: {error.strerror}.") from error
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise StartError(f"Port {port} on {host} is in use. Choose another one with --port.") from error
        raise StartError(f"{host}:{port} cannot be bound: {error.strerror}.") from error
    return listener


def demand_key_unless_loopback(settings: Settings, host: str) -> Settings:
    """The settings with `require_key` decided for this address.

    Raises:
        StartError: a key is demanded and none exists.
    """
    if not is_loopback(host) and settings.require_key is False:
        raise StartError(f"CTRFAST_REQUIRE_KEY=0 is possible on loopback alone. Got --host {host}.")
    required = bool(settings.require_key) or not is_loopback(host)
    if required:
        database = Database(settings.url)
        try:
            if settings.oidc_issuer is None and not KeyStore(database).count():
                raise StartError(
                    f"Serving on {host} needs an API key, and there is none: "
                    "create one with `ctrfast-service create-key`."
                )
        finally:
            database.dispose()
    return settings.model_copy(update={"require_key": required})


def up(settings: Settings, host: str, port: int, workers: int, on_ready: Callable[[str], None]) -> None:
    """Run the service until SIGTERM or SIGINT, then end every process of it.

    Args:
        settings: of the service; children read the same environment.
        host: address of the API.
        port: of the API; 0 takes a free one.
        workers: how many jobs run at once.
        on_ready: called with the URL once the API answers.

    Raises:
        StartError: it cannot start, or a part dies again and again.
    """
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    listener = bind(host, port)
    real_port = listener.getsockname()[1]
    environment = {
        "CTRFAST_REQUIRE_WORKER": "1" if workers else "0",
        **os.environ,
        "CTRFAST_REQUIRE_KEY": "1" if settings.require_key else "0",
    }
    children: list[ManagedProcess] = []
    try:
        api = ["api", "--fd", str(listener.fileno())]
        children.append(ManagedProcess("API", api, [listener.fileno()], environment))
        children += [ManagedProcess(f"worker {n + 1}", ["worker"], [], environment) for n in range(workers)]
        is_ready = False
        while not stop.wait(_LOOK_S):
            for child in children:
                child.look_after()
            if not is_ready and _answers(host, real_port):
                is_ready = True
                on_ready(f"http://{_url_host(host)}:{real_port}")
    finally:
        _end([child.process for child in children], settings.shutdown_grace_s + _KILL_MARGIN_S)
        listener.close()


def _end(processes: Sequence[subprocess.Popen[bytes]], patience_s: float) -> None:
    for process in processes:
        if process.poll() is None:
            process.terminate()
    deadline = time.monotonic() + patience_s
    for process in processes:
        try:
            process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _answers(host: str, port: int) -> bool:
    connection = http.client.HTTPConnection(_reachable(host), port, timeout=2)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _reachable(host: str) -> str:
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - looked up, not bound


def _url_host(host: str) -> str:
    return f"[{host}]" if ":" in host else host
