"""Signals, queries and updates."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from temporalio import activity, workflow
from temporalio.client import (
    Client,
    WorkflowQueryFailedError,
    WorkflowUpdateFailedError,
    WorkflowUpdateStage,
)
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError, RPCStatusCode
from temporalio.worker import Worker

with workflow.unsafe.imports_passed_through():
    import pytest
    from server import eventually


@workflow.defn
class Basket:
    """Collects what it is told, until it is told to stop."""

    def __init__(self) -> None:
        self.items: list[str] = []
        self.paid = False
        self.closed = False

    @workflow.run
    async def run(self) -> list[str]:
        await workflow.wait_condition(lambda: self.closed)
        return self.items

    @workflow.signal
    def put(self, item: str) -> None:
        self.items.append(item)

    @workflow.signal
    def close(self) -> None:
        self.closed = True

    @workflow.signal
    def pay(self) -> None:
        self.paid = True

    @workflow.query
    def look(self) -> list[str]:
        return self.items

    @workflow.query
    def fails(self) -> str:
        raise ApplicationError("no such shelf")

    @workflow.update
    def put_and_count(self, item: str) -> int:
        self.items.append(item)
        return len(self.items)

    @put_and_count.validator
    def check(self, item: str) -> None:
        if not item:
            raise ApplicationError("an item has a name")

    @workflow.update
    async def wait_for_payment(self) -> str:
        await workflow.wait_condition(lambda: self.paid)
        return "paid"


@workflow.defn
class SignalledWhileItWorks:
    """Blocks its own workflow task, so that a signal arrives while one is started."""

    def __init__(self) -> None:
        self.got: list[str] = []

    @workflow.signal
    def put(self, item: str) -> None:
        self.got.append(item)

    @workflow.run
    async def run(self) -> list[str]:
        await workflow.execute_local_activity("block", start_to_close_timeout=timedelta(seconds=20))
        await workflow.wait_condition(lambda: len(self.got) == 2)
        return self.got


async def basket(client: Client, unique):
    return await client.start_workflow(Basket.run, id=unique("id"), task_queue=unique("queue"))


async def test_signals_arrive_in_order_also_before_a_worker_does(client: Client, unique) -> None:
    handle = await basket(client, unique)
    for item in ("a", "b", "c"):
        await handle.signal(Basket.put, item)
    async with Worker(client, task_queue=unique("queue"), workflows=[Basket]):
        await handle.signal(Basket.put, "d")
        await handle.signal(Basket.close)
        assert await handle.result() == ["a", "b", "c", "d"]
    with pytest.raises(RPCError) as refused:
        await handle.signal(Basket.put, "late")
    assert refused.value.status == RPCStatusCode.NOT_FOUND


async def test_a_signal_during_a_workflow_task_comes_after_it(client: Client, unique) -> None:
    blocked, release = asyncio.Event(), asyncio.Event()

    @activity.defn(name="block")
    async def block() -> None:
        blocked.set()
        await release.wait()

    worker = Worker(client, task_queue=unique("queue"), workflows=[SignalledWhileItWorks], activities=[block])
    async with worker:
        handle = await client.start_workflow(
            SignalledWhileItWorks.run, id=unique("id"), task_queue=unique("queue")
        )
        await blocked.wait()
        await handle.signal(SignalledWhileItWorks.put, "one")
        await handle.signal(SignalledWhileItWorks.put, "two")
        before = await handle.fetch_history()
        names = [event.WhichOneof("attributes") for event in before.events]
        assert "workflow_execution_signaled_event_attributes" not in names, "it waits for the task to end"
        release.set()
        assert await handle.result() == ["one", "two"]

    kinds = [event.WhichOneof("attributes") for event in (await handle.fetch_history()).events]
    signal = kinds.index("workflow_execution_signaled_event_attributes")
    assert "workflow_task_completed_event_attributes" in kinds[:signal]


async def test_signal_with_start_starts_once_and_signals_each_time(client: Client, unique) -> None:
    first = await client.start_workflow(
        Basket.run, id=unique("id"), task_queue=unique("queue"), start_signal="put", start_signal_args=["a"]
    )
    again = await client.start_workflow(
        Basket.run, id=unique("id"), task_queue=unique("queue"), start_signal="put", start_signal_args=["b"]
    )
    assert first.first_execution_run_id == again.first_execution_run_id
    async with Worker(client, task_queue=unique("queue"), workflows=[Basket]):
        await first.signal(Basket.close)
        assert await first.result() == ["a", "b"]


async def test_a_query_sees_what_was_acknowledged_and_answers_for_closed_runs(client: Client, unique) -> None:
    async with Worker(client, task_queue=unique("queue"), workflows=[Basket]):
        handle = await basket(client, unique)
        for count in range(1, 6):
            await handle.signal(Basket.put, f"item {count}")
            assert len(await handle.query(Basket.look)) == count
        with pytest.raises(WorkflowQueryFailedError, match="no such shelf"):
            await handle.query(Basket.fails)
        await handle.signal(Basket.close)
        await handle.result()
        length = (await handle.describe()).history_length
        assert len(await handle.query(Basket.look)) == 5
        assert (await handle.describe()).history_length == length, "a query leaves no trace"


async def test_a_query_is_answered_by_a_worker_that_never_saw_the_run(client: Client, unique) -> None:
    async with Worker(client, task_queue=unique("queue"), workflows=[Basket]):
        handle = await basket(client, unique)
        await handle.signal(Basket.put, "a")
        assert await handle.query(Basket.look) == ["a"]
    async with Worker(client, task_queue=unique("queue"), workflows=[Basket]):
        assert await handle.query(Basket.look) == ["a"]
    await handle.terminate()


async def test_updates_are_completed_or_rejected(client: Client, unique) -> None:
    async with Worker(client, task_queue=unique("queue"), workflows=[Basket]):
        handle = await basket(client, unique)
        assert await handle.execute_update(Basket.put_and_count, "a", id="first") == 1
        # The same id is the same update.
        assert await handle.execute_update(Basket.put_and_count, "a", id="first") == 1
        length = (await handle.describe()).history_length
        with pytest.raises(WorkflowUpdateFailedError) as rejected:
            await handle.execute_update(Basket.put_and_count, "")
        assert "an item has a name" in str(rejected.value.cause)
        assert (await handle.describe()).history_length == length, "a rejected update leaves no trace"
        await handle.signal(Basket.close)
        assert await handle.result() == ["a"]


async def test_an_accepted_update_completes_later(client: Client, unique) -> None:
    async with Worker(client, task_queue=unique("queue"), workflows=[Basket]):
        handle = await basket(client, unique)
        update = await handle.start_update(
            Basket.wait_for_payment, wait_for_stage=WorkflowUpdateStage.ACCEPTED, id="payment"
        )
        result = asyncio.create_task(handle.get_update_handle("payment").result())
        await handle.signal(Basket.pay)
        assert await update.result() == "paid"
        assert await result == "paid"
        await handle.signal(Basket.close)
        await handle.result()
        # The outcome is kept with the closed run.
        assert await handle.get_update_handle("payment").result() == "paid"


async def test_an_update_waits_for_a_worker(client: Client, unique) -> None:
    handle = await basket(client, unique)
    update = asyncio.create_task(handle.execute_update(Basket.put_and_count, "a"))

    async def admitted():
        return (await handle.describe()).raw_description.HasField("pending_workflow_task")

    await eventually(admitted)
    async with Worker(client, task_queue=unique("queue"), workflows=[Basket]):
        assert await update == 1
        await handle.terminate()
