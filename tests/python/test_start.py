"""Starting: what the id policies and request ids promise, and how runs end that are told to end."""

from __future__ import annotations

import uuid

from temporalio import workflow
from temporalio.api.common.v1 import Payloads, WorkflowType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import StartWorkflowExecutionRequest
from temporalio.client import Client, WorkflowExecutionStatus, WorkflowFailureError
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import CancelledError, TerminatedError, WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode
from temporalio.worker import Worker

with workflow.unsafe.imports_passed_through():
    import pytest


@workflow.defn
class Greet:
    @workflow.run
    async def run(self, name: str) -> str:
        return f"Hello, {name}!"


@workflow.defn
class WaitForEver:
    @workflow.run
    async def run(self) -> str:
        await workflow.wait_condition(lambda: False)
        return "never"


async def test_a_result_comes_back(client: Client, unique) -> None:
    async with Worker(client, task_queue=unique("queue"), workflows=[Greet]):
        result = await client.execute_workflow(Greet.run, "Ada", id=unique("id"), task_queue=unique("queue"))
    assert result == "Hello, Ada!"


async def test_a_running_id_is_refused_used_or_replaced(client: Client, unique) -> None:
    start = {"id": unique("id"), "task_queue": unique("queue")}
    first = await client.start_workflow(WaitForEver.run, **start)
    with pytest.raises(WorkflowAlreadyStartedError) as refused:
        await client.start_workflow(WaitForEver.run, **start)
    assert refused.value.run_id == first.first_execution_run_id

    used = await client.start_workflow(
        WaitForEver.run, id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING, **start
    )
    assert used.first_execution_run_id == first.first_execution_run_id

    replaced = await client.start_workflow(
        WaitForEver.run, id_conflict_policy=WorkflowIDConflictPolicy.TERMINATE_EXISTING, **start
    )
    assert replaced.first_execution_run_id != first.first_execution_run_id
    old = client.get_workflow_handle(start["id"], run_id=first.first_execution_run_id)
    assert (await old.describe()).status == WorkflowExecutionStatus.TERMINATED


async def test_a_finished_id_is_reused_as_its_policy_says(client: Client, unique) -> None:
    start = {"id": unique("id"), "task_queue": unique("queue")}
    async with Worker(client, task_queue=start["task_queue"], workflows=[Greet]):
        await client.execute_workflow(Greet.run, "one", **start)
        for policy in (WorkflowIDReusePolicy.REJECT_DUPLICATE, WorkflowIDReusePolicy.ALLOW_DUPLICATE_FAILED_ONLY):
            with pytest.raises(WorkflowAlreadyStartedError):
                await client.start_workflow(Greet.run, "two", id_reuse_policy=policy, **start)
        assert await client.execute_workflow(Greet.run, "three", **start) == "Hello, three!"


async def test_a_request_repeated_starts_nothing_twice(client: Client, unique) -> None:
    request = StartWorkflowExecutionRequest(
        namespace="default",
        workflow_id=unique("id"),
        workflow_type=WorkflowType(name="Greet"),
        task_queue=TaskQueue(name=unique("queue")),
        input=Payloads(payloads=await client.data_converter.encode(["Ada"])),
        request_id=str(uuid.uuid4()),
    )
    first = await client.workflow_service.start_workflow_execution(request)
    again = await client.workflow_service.start_workflow_execution(request)
    assert (first.run_id, first.started, again.started) == (again.run_id, True, True)
    request.request_id = str(uuid.uuid4())
    with pytest.raises(RPCError) as refused:
        await client.workflow_service.start_workflow_execution(request)
    assert refused.value.status == RPCStatusCode.ALREADY_EXISTS
    assert "already running" in refused.value.message


async def test_cancel_lets_the_workflow_end_itself_and_terminate_does_not(client: Client, unique) -> None:
    async with Worker(client, task_queue=unique("queue"), workflows=[WaitForEver]):
        cancelled = await client.start_workflow(WaitForEver.run, id=unique("c"), task_queue=unique("queue"))
        await cancelled.cancel()
        with pytest.raises(WorkflowFailureError) as failure:
            await cancelled.result()
        assert isinstance(failure.value.cause, CancelledError)
        # Whoever asks again has what they want.
        await cancelled.cancel()

        ended = await client.start_workflow(WaitForEver.run, id=unique("t"), task_queue=unique("queue"))
        await ended.terminate(reason="enough")
        with pytest.raises(WorkflowFailureError) as failure:
            await ended.result()
        assert isinstance(failure.value.cause, TerminatedError)
        assert failure.value.cause.message == "enough"
        with pytest.raises(RPCError) as refused:
            await ended.terminate()
        assert refused.value.status == RPCStatusCode.NOT_FOUND


async def test_what_does_not_exist_is_not_found(client: Client, unique) -> None:
    with pytest.raises(RPCError) as refused:
        await client.get_workflow_handle(unique("nobody")).describe()
    assert refused.value.status == RPCStatusCode.NOT_FOUND
    bad = client.get_workflow_handle(unique("nobody"), run_id="no-uuid")
    with pytest.raises(RPCError) as refused:
        await bad.describe()
    assert refused.value.status == RPCStatusCode.INVALID_ARGUMENT
    assert "Invalid RunId" in refused.value.message
