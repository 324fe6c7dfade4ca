"""Timers, and code that changes under runs that are already past it."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta

from temporalio import workflow
from temporalio.client import Client
from temporalio.worker import Replayer, Worker

with workflow.unsafe.imports_passed_through():
    from server import eventually


@workflow.defn
class Timers:
    @workflow.run
    async def run(self) -> list[str]:
        fired: list[str] = []

        async def timer(name: str, seconds: float) -> None:
            await workflow.sleep(seconds)
            fired.append(name)

        cancelled = asyncio.create_task(timer("cancelled", 60))
        timers = [timer("last", 0.9), timer("first", 0.1), timer("middle", 0.5)]
        both = asyncio.gather(*timers)
        await workflow.sleep(0.05)
        cancelled.cancel()
        await both
        return fired


@workflow.defn(name="Changing")
class Before:
    def __init__(self) -> None:
        self.go = False

    @workflow.signal
    def proceed(self) -> None:
        self.go = True

    @workflow.run
    async def run(self) -> str:
        await workflow.wait_condition(lambda: self.go)
        return "old code"


@workflow.defn(name="Changing")
class After:
    """Sleeps first, which would break the runs of the old code without the patch."""

    def __init__(self) -> None:
        self.go = False

    @workflow.signal
    def proceed(self) -> None:
        self.go = True

    @workflow.run
    async def run(self) -> str:
        patched = workflow.patched("sleep-first")
        if patched:
            await workflow.sleep(timedelta(milliseconds=10))
        await workflow.wait_condition(lambda: self.go)
        return "new code" if patched else "old code"


async def test_timers_fire_in_their_order_and_not_early(client: Client, unique) -> None:
    async with Worker(client, task_queue=unique("queue"), workflows=[Timers]):
        began = time.monotonic()
        result = await client.execute_workflow(Timers.run, id=unique("id"), task_queue=unique("queue"))
    assert result == ["first", "middle", "last"]
    assert time.monotonic() - began >= 0.9


async def test_a_run_time_limit_ends_the_run(client: Client, unique) -> None:
    handle = await client.start_workflow(
        Before.run,
        id=unique("id"),
        task_queue=unique("queue"),
        run_timeout=timedelta(milliseconds=500),
    )

    async def over():
        return (await handle.describe()).status.name == "TIMED_OUT"

    await eventually(over)


async def test_a_start_delay_is_kept(client: Client, unique) -> None:
    async with Worker(client, task_queue=unique("queue"), workflows=[Timers]):
        handle = await client.start_workflow(
            Timers.run,
            id=unique("id"),
            task_queue=unique("queue"),
            start_delay=timedelta(seconds=1),
        )
        await handle.result()
        seen = await handle.describe()
    assert seen.execution_time is not None
    assert seen.execution_time - seen.start_time == timedelta(seconds=1)
    events = (await handle.fetch_history()).events
    first_task = next(e for e in events if e.HasField("workflow_task_scheduled_event_attributes"))
    assert first_task.event_time.ToDatetime() >= seen.execution_time.replace(tzinfo=None)


async def test_patched_code_serves_old_and_new_runs(client: Client, unique) -> None:
    queue = unique("queue")
    async with Worker(client, task_queue=queue, workflows=[Before]):
        old = await client.start_workflow(Before.run, id=unique("old"), task_queue=queue)

        async def past_the_change():
            return (await old.describe()).history_length >= 4

        await eventually(past_the_change)
    async with Worker(client, task_queue=queue, workflows=[After], max_cached_workflows=0):
        new = await client.start_workflow(After.run, id=unique("new"), task_queue=queue)
        for handle in (old, new):
            await handle.signal("proceed")
        assert await old.result() == "old code"
        assert await new.result() == "new code"
    history = await new.fetch_history()
    assert any(event.HasField("marker_recorded_event_attributes") for event in history.events)
    seen = [w async for w in client.list_workflows(f'TemporalChangeVersion = "sleep-first" AND WorkflowId = "{new.id}"')]
    assert [found.id for found in seen] == [new.id]
    await Replayer(workflows=[After]).replay_workflow(history)
