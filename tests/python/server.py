"""Starts and kills the built server, and waits for conditions."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

ROOT = Path(__file__).resolve().parents[2]
BINARY = Path(os.environ.get("STEADFAST_BIN", ROOT / "target/debug/steadfast"))

T = TypeVar("T")


class Server:
    """One server process on a port that was free, with a database file that outlives it."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def command(self) -> list[str]:
        flags = ["--headless", "--ip", "127.0.0.1", "--port", str(self.port), "--db-filename", str(self.file)]
        return [str(BINARY), "server", "start-dev", *flags]

    def start(self) -> None:
        """Returns when it takes connections."""
        with self.file.with_suffix(".log").open("ab") as log:
            self.process = subprocess.Popen(self.command, stdout=log, stderr=log)
        until = time.monotonic() + 30
        while time.monotonic() < until:
            if self.process.poll() is not None:
                break
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.02)
        raise AssertionError(f"the server does not start:\n{self.file.with_suffix('.log').read_text()}")

    def kill(self) -> None:
        """`kill -9`: it can neither write nor say goodbye."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(timeout=20)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def eventually(look: Callable[[], Awaitable[T | None]], seconds: float = 30) -> T:
    """Looks until there is something to see."""
    until = time.monotonic() + seconds
    while True:
        seen = await look()
        if seen:
            return seen
        assert time.monotonic() < until, f"nothing to see within {seconds} s"
        await asyncio.sleep(0.05)
