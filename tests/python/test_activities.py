"""Activities: retries that can be seen, heartbeats that survive attempts, cancellation, completion from outside."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from temporalio import activity, workflow
from temporalio.client import Client, WorkflowFailureError
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, ApplicationError, CancelledError, TimeoutError, TimeoutType
from temporalio.worker import Worker

with workflow.unsafe.imports_passed_through():
    import pytest
    from server import eventually
    from temporalio.api.enums.v1 import PendingActivityState

SECONDS_10 = timedelta(seconds=10)


@workflow.defn
class OneActivity:
    """Runs the activity that it is told, with the options that it is told."""

    @workflow.run
    async def run(self, name: str, attempts: int, heartbeat: float) -> str:
        return await workflow.execute_activity(
            name,
            start_to_close_timeout=SECONDS_10,
            heartbeat_timeout=timedelta(seconds=heartbeat) if heartbeat else None,
            retry_policy=RetryPolicy(
                initial_interval=timedelta(milliseconds=200),
                backoff_coefficient=1.0,
                maximum_attempts=attempts,
            ),
        )


@workflow.defn
class CancelsItsActivity:
    @workflow.run
    async def run(self, name: str) -> str:
        handle = workflow.start_activity(
            name,
            start_to_close_timeout=SECONDS_10,
            heartbeat_timeout=timedelta(seconds=2),
            cancellation_type=workflow.ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
        )
        await workflow.sleep(0.5)
        handle.cancel()
        try:
            return await handle
        except ActivityError as error:
            return type(error.cause).__name__


async def test_a_failing_activity_is_seen_and_then_succeeds(client: Client, unique) -> None:
    repaired = asyncio.Event()

    @activity.defn(name="shaky")
    async def shaky() -> str:
        if not repaired.is_set():
            raise ApplicationError("the bank is closed", type="BankClosed")
        return f"attempt {activity.info().attempt}"

    worker = Worker(client, task_queue=unique("queue"), workflows=[OneActivity], activities=[shaky])
    async with worker:
        handle = await client.start_workflow(
            OneActivity.run, args=["shaky", 0, 0], id=unique("id"), task_queue=unique("queue")
        )

        async def third_attempt():
            pending = (await handle.describe()).raw_description.pending_activities
            return next((a for a in pending if a.attempt >= 3 and a.HasField("last_failure")), None)

        seen = await eventually(third_attempt)
        assert seen.activity_type.name == "shaky"
        assert seen.last_failure.message == "the bank is closed"
        assert seen.last_failure.application_failure_info.type == "BankClosed"
        assert "shaky" in seen.last_failure.stack_trace
        assert seen.last_worker_identity == worker.client.config()["service_client"].config.identity
        repaired.set()
        assert int((await handle.result()).removeprefix("attempt ")) >= 3

    history = await handle.fetch_history()
    started = [e for e in history.events if e.HasField("activity_task_started_event_attributes")]
    assert len(started) == 1, "attempts that failed and were retried are no events"
    attributes = started[0].activity_task_started_event_attributes
    assert attributes.attempt >= 3
    assert attributes.last_failure.message == "the bank is closed"


async def test_attempts_end(client: Client, unique) -> None:
    @activity.defn(name="broken")
    async def broken() -> str:
        raise ApplicationError("no")

    async with Worker(client, task_queue=unique("queue"), workflows=[OneActivity], activities=[broken]):
        with pytest.raises(WorkflowFailureError) as failure:
            await client.execute_workflow(
                OneActivity.run, args=["broken", 2, 0], id=unique("id"), task_queue=unique("queue")
            )
    error = failure.value.cause
    assert isinstance(error, ActivityError)
    assert error.retry_state is not None and error.retry_state.name == "MAXIMUM_ATTEMPTS_REACHED"
    assert isinstance(error.cause, ApplicationError) and error.cause.message == "no"


async def test_heartbeat_details_reach_the_next_attempt_after_a_missed_heartbeat(client: Client, unique) -> None:
    @activity.defn(name="resumes")
    async def resumes() -> str:
        if activity.info().attempt == 1:
            activity.heartbeat("page 7")
            await asyncio.sleep(60)
        return f"{activity.info().heartbeat_details[0]} at attempt {activity.info().attempt}"

    async with Worker(client, task_queue=unique("queue"), workflows=[OneActivity], activities=[resumes]):
        result = await client.execute_workflow(
            OneActivity.run, args=["resumes", 0, 1.0], id=unique("id"), task_queue=unique("queue")
        )
    assert result == "page 7 at attempt 2"


async def test_a_timeout_names_its_kind(client: Client, unique) -> None:
    @activity.defn(name="silent")
    async def silent() -> str:
        await asyncio.sleep(60)
        return "never"

    async with Worker(client, task_queue=unique("queue"), workflows=[OneActivity], activities=[silent]):
        with pytest.raises(WorkflowFailureError) as failure:
            await client.execute_workflow(
                OneActivity.run, args=["silent", 1, 0.5], id=unique("id"), task_queue=unique("queue")
            )
    timeout = failure.value.cause.cause
    assert isinstance(timeout, TimeoutError)
    assert timeout.type == TimeoutType.HEARTBEAT


async def test_cancellation_reaches_a_heartbeating_activity(client: Client, unique) -> None:
    cleaned_up = asyncio.Event()

    @activity.defn(name="patient")
    async def patient() -> str:
        try:
            while True:
                activity.heartbeat()
                await asyncio.sleep(0.1)
        except asyncio.CancelledError:
            cleaned_up.set()
            raise

    async with Worker(client, task_queue=unique("queue"), workflows=[CancelsItsActivity], activities=[patient]):
        result = await client.execute_workflow(
            CancelsItsActivity.run, "patient", id=unique("id"), task_queue=unique("queue")
        )
    assert result == CancelledError.__name__
    assert cleaned_up.is_set()


async def test_an_activity_is_completed_from_outside(client: Client, unique) -> None:
    @activity.defn(name="elsewhere")
    async def elsewhere() -> str:
        activity.raise_complete_async()

    async with Worker(client, task_queue=unique("queue"), workflows=[OneActivity], activities=[elsewhere]):
        handle = await client.start_workflow(
            OneActivity.run, args=["elsewhere", 0, 0], id=unique("id"), task_queue=unique("queue")
        )

        async def started():
            pending = (await handle.describe()).raw_description.pending_activities
            wanted = PendingActivityState.PENDING_ACTIVITY_STATE_STARTED
            return next((a for a in pending if a.state == wanted), None)

        found = await eventually(started)
        outside = client.get_async_activity_handle(
            workflow_id=handle.id, run_id=handle.first_execution_run_id, activity_id=found.activity_id
        )
        await outside.heartbeat("still here")
        await outside.complete("from outside")
        assert await handle.result() == "from outside"
