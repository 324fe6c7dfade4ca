"""`kill -9` of the server in the middle of everything: nothing that was acknowledged is lost, nothing stands still."""

from __future__ import annotations

import asyncio
import random
import subprocess
import time
from datetime import timedelta

from temporalio import activity, workflow
from temporalio.client import Client
from temporalio.common import RetryPolicy
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

with workflow.unsafe.imports_passed_through():
    import pytest
    from server import Server, eventually


@workflow.defn
class Order:
    def __init__(self) -> None:
        self.lines: list[str] = []
        self.complete = False

    @workflow.signal
    def add(self, line: str) -> None:
        self.lines.append(line)

    @workflow.signal
    def done(self) -> None:
        self.complete = True

    @workflow.query
    def look(self) -> list[str]:
        return self.lines

    @workflow.update
    async def add_and_charge(self, line: str) -> str:
        self.lines.append(line)
        return await self.charge(line)

    @workflow.run
    async def run(self) -> list[str]:
        await workflow.sleep(0.3)
        await workflow.wait_condition(lambda: self.complete and workflow.all_handlers_finished())
        for line in list(self.lines):
            await self.charge(line)
            await workflow.sleep(0.05)
        return self.lines

    async def charge(self, line: str) -> str:
        return await workflow.execute_activity(
            "charge",
            line,
            start_to_close_timeout=timedelta(seconds=2),
            retry_policy=RetryPolicy(initial_interval=timedelta(milliseconds=100), backoff_coefficient=1.0),
        )


@activity.defn(name="charge")
async def charge(line: str) -> str:
    await asyncio.sleep(0.02)
    return f"charged {line}"


async def test_a_killed_server_goes_on_where_it_was(mortal: Server, unique) -> None:
    client = await Client.connect(mortal.address)
    queue = unique("queue")
    handle = await client.start_workflow(Order.run, id=unique("id"), task_queue=queue)
    await handle.signal(Order.add, "bread")
    mortal.kill()
    began = time.monotonic()
    mortal.start()
    assert (await handle.describe()).history_length == 3
    assert time.monotonic() - began < 1.0, "serving again in under a second"
    async with Worker(client, task_queue=queue, workflows=[Order], activities=[charge]):
        # The worker outlives the next one.
        assert await handle.query(Order.look) == ["bread"]
        assert await handle.execute_update(Order.add_and_charge, "milk") == "charged milk"
        mortal.kill()
        mortal.start()
        assert await handle.query(Order.look) == ["bread", "milk"]
        await handle.signal(Order.done)
        assert await handle.result() == ["bread", "milk"]
    kinds = [event.event_id for event in (await handle.fetch_history()).events]
    assert kinds == list(range(1, len(kinds) + 1))


async def test_a_timer_that_was_due_meanwhile_fires_at_once(mortal: Server, unique) -> None:
    client = await Client.connect(mortal.address)
    handle = await client.start_workflow(
        Order.run, id=unique("id"), task_queue=unique("queue"), run_timeout=timedelta(seconds=1)
    )
    mortal.kill()
    await asyncio.sleep(1.2)
    mortal.start()

    async def over():
        return (await handle.describe()).status.name == "TIMED_OUT"

    await eventually(over, seconds=3)


async def test_a_second_server_on_the_same_file_is_refused(mortal: Server) -> None:
    assert mortal.process is not None
    second = subprocess.run(Server(mortal.file).command, capture_output=True, text=True, timeout=20)
    assert second.returncode != 0
    assert str(mortal.process.pid) in second.stderr, "it names who has the file"


@pytest.mark.timeout(240)
async def test_many_orders_survive_many_kills(mortal: Server, unique) -> None:
    choose = random.Random(7)
    client = await Client.connect(mortal.address)
    queue = unique("queue")

    async def order(number: int) -> list[str]:
        handle = await client.start_workflow(Order.run, id=unique(str(number)), task_queue=queue)
        for line in range(3):
            await handle.signal(Order.add, f"{number}/{line}")
        await handle.signal(Order.done)
        return await handle.result()

    async def kill_now_and_then() -> None:
        for _ in range(8):
            await asyncio.sleep(choose.uniform(0.1, 0.7))
            mortal.kill()
            mortal.start()

    # Without the sandbox, whose imports for each run would take longer than the kills leave time for.
    worker = Worker(
        client,
        task_queue=queue,
        workflows=[Order],
        activities=[charge],
        workflow_runner=UnsandboxedWorkflowRunner(),
    )
    async with worker:
        killer = asyncio.create_task(kill_now_and_then())
        results = await asyncio.gather(*(order(number) for number in range(20)))
        await killer
    # The client repeats a signal that it is not sure of under the same request id.
    assert results == [[f"{number}/{line}" for line in range(3)] for number in range(20)]
