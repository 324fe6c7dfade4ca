"""The server under test: one process with a file for most tests, one of its own for those that kill it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
from server import Server
from temporalio.client import Client


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The server that tests share: each has ids and a task queue of its own."""
    server = Server(tmp_path_factory.mktemp("shared") / "steadfast.db")
    server.start()
    yield server
    server.stop()


@pytest.fixture
def mortal(tmp_path: Path) -> Iterator[Server]:
    """A server that the test may kill and start again."""
    server = Server(tmp_path / "steadfast.db")
    server.start()
    yield server
    server.stop()


@pytest.fixture
async def client(server: Server) -> AsyncIterator[Client]:
    yield await Client.connect(server.address)


@pytest.fixture
def unique(request: pytest.FixtureRequest) -> Callable[[str], str]:
    """Ids that no other test and no earlier run of this one has used."""
    import uuid

    mark = uuid.uuid4().hex[:8]
    return lambda name: f"{request.node.name}-{name}-{mark}"
