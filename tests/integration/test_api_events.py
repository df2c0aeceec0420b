"""A confirmed transaction, as an indexer or Bako's API announces it."""

from __future__ import annotations

from uuid import uuid4

from domain.bech32 import encode_fuel_bech32
from domain.values import checksum_address
from tests.api_support import (
    CHAIN_ID,
    ETH,
    World,
    on_both_databases,
)
from tests.databases import bytes32


@on_both_databases
async def test_a_transaction_invalidates_every_vault_that_it_touches_at_its_height(
    world: World,
) -> None:
    sender, receiver, legacy, wallet, contract = [bytes32() for _ in range(5)]
    await world.warm(sender, receiver)
    user = await world.database.add_user()
    await world.database.add_predicate(user, predicate_address=encode_fuel_bech32(legacy))
    event = {
        "id": str(uuid4()),
        "hash": "ab" * 32,
        "status": "success",
        "network": {"url": "https://user:pass@anything.example", "chainId": CHAIN_ID},
        "blockHeight": 12,
        "predicate": {"predicateAddress": sender, "name": "vault"},
        "summary": {
            "operations": [
                {
                    "name": "Transfer",
                    "from": {"address": sender, "type": 1},
                    "to": {"address": checksum_address(receiver)},
                },
                {"name": "Transfer", "to": {"address": legacy}},
                {"name": "Transfer", "to": {"address": wallet}, "assetsSent": []},
                {"name": "Call", "to": {"address": contract, "chain": None}},
                {"name": "Odd", "to": {"address": "0xodd"}, "from": None},
            ]
        },
    }

    answer = await world.internal("/events/transaction", event)

    data = answer.json()["data"]
    assert answer.status_code == 202
    assert data["invalidated"] == [sender, receiver, legacy]
    assert data["ignored"] == ["0xodd"]
    assert (data["chainId"], data["blockHeight"]) == (CHAIN_ID, 12)
    for address in (sender, receiver, legacy):
        assert await world.redis.exists(f"tx:refresh:{address}:{CHAIN_ID}")
    assert not await world.redis.exists(f"tx:refresh:{wallet}:{CHAIN_ID}")
    [task] = world.publisher.sent
    assert task.args == [[sender, receiver, legacy], CHAIN_ID, 12]


async def test_after_an_event_no_read_is_fresh_below_its_height(world: World) -> None:
    address = bytes32()
    world.give(address, {ETH: 10})
    user = await world.database.add_user()
    predicate_id = await world.database.add_predicate(user, predicate_address=address)
    headers = await world.sign_in(user)
    path = f"/predicate/reserved-coins/{predicate_id}"
    await world.get(path, headers)
    world.give(address, {ETH: 7})
    world.node.chain.produce_blocks(1)
    height = world.node.chain.height

    event = {"chainId": CHAIN_ID, "blockHeight": height, "predicateAddress": address}
    await world.internal("/events/transaction", event)
    body = (await world.get(path, headers)).json()

    assert body["totalBalance"] == [{"assetId": ETH, "amount": "0x7"}]
    assert body["freshness"]["state"] == "fresh"
    assert body["freshness"]["blockHeight"] >= height
