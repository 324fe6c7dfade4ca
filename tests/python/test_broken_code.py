"""A bug in workflow code is no end of a workflow: it fails its task for ever, says where, and goes on when repaired."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from server import Server, eventually
from temporalio.client import Client, WorkflowExecutionStatus

SOURCE = Path(__file__).with_name("divides.py")
BUG = "sum(numbers) / (len(numbers) - len(numbers))"


@contextmanager
def worker(program: Path, server: Server, queue: str) -> Iterator[None]:
    process = subprocess.Popen([sys.executable, program, server.address, queue])
    try:
        yield
    finally:
        process.kill()
        process.wait()


async def test_a_division_by_zero_is_told_repaired_and_forgotten(
    server: Server, client: Client, unique, tmp_path: Path
) -> None:
    code, program = SOURCE.read_text(), tmp_path / "average.py"
    program.write_text(code)
    line = next(number for number, text in enumerate(code.splitlines(), 1) if BUG in text)
    handle = await client.start_workflow(
        "Average",
        [1, 2, 3],
        id=unique("id"),
        task_queue=unique("queue"),
        # The SDK tells of the first failures only; from then on an attempt ends when this is over.
        task_timeout=timedelta(seconds=3),
    )
    with worker(program, server, unique("queue")):

        async def third_attempt():
            pending = (await handle.describe()).raw_description.pending_workflow_task
            return pending if pending.attempt >= 3 else None

        await eventually(third_attempt)
        assert (await handle.describe()).status == WorkflowExecutionStatus.RUNNING
        events = (await handle.fetch_history()).events
        failed = [e.workflow_task_failed_event_attributes for e in events if e.HasField("workflow_task_failed_event_attributes")]
        # One on the worker that had the run in its cache, one after that; further attempts are no events.
        assert 1 <= len(failed) <= 2
        failure = failed[0].failure
        assert failure.message == "division by zero"
        assert failure.application_failure_info.type == "ZeroDivisionError"
        assert f'average.py", line {line}' in failure.stack_trace
        assert BUG in failure.stack_trace

    assert code.count(BUG) == 1
    program.write_text(code.replace(BUG, "sum(numbers) / len(numbers)"))
    with worker(program, server, unique("queue")):
        assert await handle.result() == 2.0
