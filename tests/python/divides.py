"""A worker whose workflow divides by zero: `divides.py ADDRESS QUEUE`. The test repairs a copy of it."""

import asyncio
import sys

from temporalio import workflow
from temporalio.client import Client
from temporalio.worker import Worker


@workflow.defn
class Average:
    @workflow.run
    async def run(self, numbers: list[int]) -> float:
        await workflow.sleep(0.01)
        return sum(numbers) / (len(numbers) - len(numbers))


async def main(address: str, queue: str) -> None:
    client = await Client.connect(address)
    async with Worker(client, task_queue=queue, workflows=[Average]):
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2]))
