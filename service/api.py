"""The API's process: uvicorn on a socket that is bound already."""

from __future__ import annotations

import asyncio
import gc
import signal
import socket

import uvicorn
from fastapi import FastAPI

from service.app import create_app
from service.protocol import LimitedProtocol
from service.settings import Settings
from service.traces import traces_from_environment

_DRAIN_S = 5


def server_config(app: FastAPI) -> uvicorn.Config:
    """Settings of the HTTP server. No access log: it would show what callers write into their URLs."""
    return uvicorn.Config(
        app,
        http=LimitedProtocol,
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=_DRAIN_S,
    )


def serve(settings: Settings, listener: socket.socket) -> None:
    """Serve until SIGTERM or SIGINT; requests that are being answered have a few seconds to end."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(
            number, lambda *_: None
        )  # uvicorn raises the signal again when it is done: that is a good end here
    traces = traces_from_environment("ctrfast-api")
    config = server_config(create_app(settings, traces))
    server = uvicorn.Server(config)
    gc.collect()
    gc.freeze()  # what was imported and built stays until the end: a collection need not walk through it
    with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
        runner.run(server.serve(sockets=[listener]))
    traces.close()
