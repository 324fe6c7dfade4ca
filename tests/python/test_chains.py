"""Runs that start others: children, runs that go on as new, retried runs, cron."""

from __future__ import annotations

from datetime import timedelta

from temporalio import workflow
from temporalio.client import Client, WorkflowExecutionStatus, WorkflowFailureError
from temporalio.common import RetryPolicy
from temporalio.exceptions import ApplicationError, ChildWorkflowError
from temporalio.worker import Worker

with workflow.unsafe.imports_passed_through():
    import pytest
    from server import eventually


@workflow.defn
class Child:
    def __init__(self) -> None:
        self.told: list[str] = []

    @workflow.signal
    def tell(self, what: str) -> None:
        self.told.append(what)

    @workflow.run
    async def run(self, word: str) -> str:
        if word == "fail":
            raise ApplicationError("the child fails", non_retryable=True)
        if word == "wait":
            await workflow.wait_condition(lambda: len(self.told) > 0)
            return self.told[0]
        return f"child says {word}"


@workflow.defn
class Parent:
    @workflow.run
    async def run(self, word: str) -> str:
        name = f"{workflow.info().workflow_id}-child"
        if word == "fail":
            try:
                await workflow.execute_child_workflow(Child.run, word, id=name)
            except ChildWorkflowError as error:
                assert isinstance(error.cause, ApplicationError)
                return f"seen: {error.cause.message}"
        child = await workflow.start_child_workflow(Child.run, word, id=name)
        if word == "wait":
            await child.signal(Child.tell, "from the parent")
        return await child


@workflow.defn
class Abandons:
    @workflow.run
    async def run(self, policy: int) -> None:
        await workflow.start_child_workflow(
            Child.run,
            "wait",
            id=f"{workflow.info().workflow_id}-child",
            parent_close_policy=workflow.ParentClosePolicy(policy),
        )


@workflow.defn
class SignalsAnother:
    @workflow.run
    async def run(self, target: str) -> str:
        try:
            await workflow.get_external_workflow_handle(target).signal("tell", "from outside")
        except ApplicationError as error:
            return str(error.type)
        return "told"


@workflow.defn
class CountDown:
    @workflow.run
    async def run(self, left: int) -> str:
        if left:
            workflow.continue_as_new(left - 1)
        return f"done after {workflow.info().continued_run_id is not None}"


@workflow.defn
class FailsAtFirst:
    @workflow.run
    async def run(self) -> int:
        if workflow.info().attempt < 3:
            raise ApplicationError("again")
        return workflow.info().attempt


@workflow.defn
class Ticks:
    @workflow.run
    async def run(self) -> int:
        last = workflow.get_last_completion_result(int) if workflow.has_last_completion_result() else 0
        return last + 1


ALL = [Child, Parent, Abandons, SignalsAnother, CountDown, FailsAtFirst, Ticks]


@pytest.mark.parametrize(
    ("word", "result"),
    [("hello", "child says hello"), ("fail", "seen: the child fails"), ("wait", "from the parent")],
)
async def test_a_parent_hears_from_its_child(client: Client, unique, word: str, result: str) -> None:
    async with Worker(client, task_queue=unique("queue"), workflows=ALL):
        got = await client.execute_workflow(Parent.run, word, id=unique("id"), task_queue=unique("queue"))
    assert got == result


@pytest.mark.parametrize(
    ("policy", "status"),
    [
        (workflow.ParentClosePolicy.ABANDON, WorkflowExecutionStatus.RUNNING),
        (workflow.ParentClosePolicy.REQUEST_CANCEL, WorkflowExecutionStatus.CANCELED),
        (workflow.ParentClosePolicy.TERMINATE, WorkflowExecutionStatus.TERMINATED),
    ],
)
async def test_the_parents_end_is_the_childs_as_its_policy_says(
    client: Client, unique, policy: workflow.ParentClosePolicy, status: WorkflowExecutionStatus
) -> None:
    async with Worker(client, task_queue=unique("queue"), workflows=ALL):
        await client.execute_workflow(Abandons.run, int(policy), id=unique("id"), task_queue=unique("queue"))
        child = client.get_workflow_handle(unique("id") + "-child")

        async def ended():
            return (await child.describe()).status == status

        await eventually(ended)
        if status == WorkflowExecutionStatus.RUNNING:
            await child.signal(Child.tell, "left alone")
            assert await child.result() == "left alone"


async def test_a_workflow_signals_another_and_hears_if_there_is_none(client: Client, unique) -> None:
    queue = unique("queue")
    async with Worker(client, task_queue=queue, workflows=ALL):
        target = await client.start_workflow(Child.run, "wait", id=unique("target"), task_queue=queue)
        assert await client.execute_workflow(SignalsAnother.run, target.id, id=unique("a"), task_queue=queue) == "told"
        assert await target.result() == "from outside"
        missing = await client.execute_workflow(SignalsAnother.run, unique("none"), id=unique("b"), task_queue=queue)
    assert missing == "ExternalWorkflowExecutionNotFound"


async def test_runs_go_on_as_new(client: Client, unique) -> None:
    async with Worker(client, task_queue=unique("queue"), workflows=ALL):
        handle = await client.start_workflow(CountDown.run, 2, id=unique("id"), task_queue=unique("queue"))
        assert await handle.result() == "done after True"
    statuses = [run.status.name async for run in client.list_workflows(f'WorkflowId = "{unique("id")}"')]
    assert statuses == ["COMPLETED", "CONTINUED_AS_NEW", "CONTINUED_AS_NEW"]


async def test_a_failed_run_is_retried(client: Client, unique) -> None:
    async with Worker(client, task_queue=unique("queue"), workflows=ALL):
        result = await client.execute_workflow(
            FailsAtFirst.run,
            id=unique("id"),
            task_queue=unique("queue"),
            retry_policy=RetryPolicy(initial_interval=timedelta(milliseconds=10), maximum_attempts=5),
        )
        assert result == 3
        with pytest.raises(WorkflowFailureError):
            await client.execute_workflow(
                FailsAtFirst.run,
                id=unique("id"),
                task_queue=unique("queue"),
                retry_policy=RetryPolicy(initial_interval=timedelta(milliseconds=10), maximum_attempts=2),
            )


async def test_cron_runs_carry_their_last_result(client: Client, unique) -> None:
    async with Worker(client, task_queue=unique("queue"), workflows=ALL):
        handle = await client.start_workflow(
            Ticks.run, id=unique("id"), task_queue=unique("queue"), cron_schedule="@every 1s"
        )

        async def third_result():
            runs = [run async for run in client.list_workflows(f'WorkflowId = "{handle.id}"')]
            return len([run for run in runs if run.status == WorkflowExecutionStatus.COMPLETED]) >= 3

        await eventually(third_result)
        await handle.terminate()
    runs = [run async for run in client.list_workflows(f'WorkflowId = "{handle.id}" AND ExecutionStatus = "Completed"')]
    first_three = sorted(runs, key=lambda run: run.start_time)[:3]
    results = [
        await client.get_workflow_handle(run.id, run_id=run.run_id, result_type=int).result(follow_runs=False)
        for run in first_three
    ]
    assert results == [1, 2, 3]
