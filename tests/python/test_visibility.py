"""Lists and counts see every write that was acknowledged before they were asked; the SDK's tests elsewhere must wait."""

from __future__ import annotations

from collections.abc import AsyncIterator

from temporalio import workflow
from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest
from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.common import SearchAttributeKey, SearchAttributePair, TypedSearchAttributes
from temporalio.service import RPCError, RPCStatusCode
from temporalio.worker import Worker

with workflow.unsafe.imports_passed_through():
    import pytest
    from server import Server

CITY = SearchAttributeKey.for_keyword("City")
AMOUNT = SearchAttributeKey.for_int("Amount")


@workflow.defn
class Shipment:
    def __init__(self) -> None:
        self.arrived = False

    @workflow.run
    async def run(self) -> None:
        await workflow.wait_condition(lambda: self.arrived)

    @workflow.update
    def move(self, city: str, amount: int) -> None:
        workflow.upsert_search_attributes([CITY.value_set(city), AMOUNT.value_set(amount)])
        workflow.upsert_memo({"last": city})

    @workflow.signal
    def arrive(self) -> None:
        self.arrived = True


@pytest.fixture
async def shipping(server: Server, client: Client) -> AsyncIterator[Client]:
    """A client of a server that knows the attributes."""
    request = AddSearchAttributesRequest(
        namespace="default",
        search_attributes={
            "City": IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD,
            "Amount": IndexedValueType.INDEXED_VALUE_TYPE_INT,
        },
    )
    try:
        await client.operator_service.add_search_attributes(request)
    except RPCError as error:
        assert error.status == RPCStatusCode.ALREADY_EXISTS
    yield client


async def ids(client: Client, query: str) -> set[str]:
    return {found.id async for found in client.list_workflows(query)}


async def test_what_was_written_is_listed_and_counted_at_once(shipping: Client, unique) -> None:
    client, queue = shipping, unique("queue")
    city = unique("city")
    async with Worker(client, task_queue=queue, workflows=[Shipment]):
        handles = []
        for number in range(5):
            attributes = TypedSearchAttributes([SearchAttributePair(CITY, city), SearchAttributePair(AMOUNT, number)])
            handle = await client.start_workflow(
                Shipment.run, id=unique(str(number)), task_queue=queue, search_attributes=attributes
            )
            handles.append(handle)
            assert (await client.count_workflows(f'City = "{city}"')).count == number + 1
        assert await ids(client, f'City = "{city}" AND Amount BETWEEN 1 AND 3') == {h.id for h in handles[1:4]}

        await handles[0].execute_update(Shipment.move, args=[unique("elsewhere"), 100])
        assert await ids(client, f'City = "{unique("elsewhere")}"') == {handles[0].id}
        assert (await client.count_workflows(f'City = "{city}"')).count == 4
        seen = await handles[0].describe()
        assert seen.typed_search_attributes[AMOUNT] == 100
        assert await seen.memo() == {"last": unique("elsewhere")}

        await handles[1].terminate()
        await handles[2].signal(Shipment.arrive)
        await handles[2].result()
        closed = f'City = "{city}" AND ExecutionStatus IN ("Terminated", "Completed")'
        assert await ids(client, closed) == {handles[1].id, handles[2].id}

        counted = await client.count_workflows(f'City = "{city}" GROUP BY ExecutionStatus')
        groups = {str(group.group_values[0]): group.count for group in counted.groups}
        assert groups == {"Running": 2, "Completed": 1, "Terminated": 1}
        for handle in handles[3:] + handles[:1]:
            await handle.terminate()


async def test_pages_are_complete_and_newest_first(shipping: Client, unique) -> None:
    client, queue, city = shipping, unique("queue"), unique("city")
    attributes = TypedSearchAttributes([SearchAttributePair(CITY, city)])
    started = [
        (await client.start_workflow(Shipment.run, id=unique(str(n)), task_queue=queue, search_attributes=attributes)).id
        for n in range(25)
    ]
    listed = [found async for found in client.list_workflows(f'City = "{city}"', page_size=4)]
    assert [found.id for found in listed] == list(reversed(started))
    assert {found.status for found in listed} == {WorkflowExecutionStatus.RUNNING}
    for found in listed:
        await client.get_workflow_handle(found.id).terminate()


async def test_a_query_that_is_wrong_is_refused(shipping: Client) -> None:
    for query in ('NoSuchAttribute = "x"', "City = "):
        with pytest.raises(RPCError) as refused:
            await ids(shipping, query)
        assert refused.value.status == RPCStatusCode.INVALID_ARGUMENT, query
