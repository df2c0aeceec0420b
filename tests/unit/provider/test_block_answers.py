"""Reading blocks: whole and in order, or a typed error; who is touched by a transaction."""

from __future__ import annotations

from typing import Any

import pytest

from domain.errors import MalformedAnswerError
from provider.block_answers import NO_EVENTS, read_amounts, read_mark, read_news, read_start

IDS = ["0x" + format(number, "064x") for number in range(40)]


def owner(number: int) -> str:
    return f"0x{number:064x}"


def transaction(**changes: Any) -> dict[str, Any]:
    return {"isMint": False, "inputs": [], "outputs": [], **changes}


def block(height: int, *transactions: dict[str, Any], **header: Any) -> dict[str, Any]:
    return {
        "id": IDS[height],
        "height": str(height),
        "header": {
            "eventInboxRoot": NO_EVENTS,
            "transactionsCount": str(len(transactions)),
            **header,
        },
        "transactions": list(transactions),
    }


def news(*blocks: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {
        "chain": {"latestBlock": {"id": IDS[30], "height": "30"}},
        "cursor": {"id": IDS[4]},
        "origin": {"id": IDS[1]},
        "blocks": {"nodes": list(blocks)},
        **changes,
    }


def test_spenders_recipients_and_receivers_are_touched_and_nobody_else() -> None:
    inputs = [
        {"__typename": "InputCoin", "owner": owner(1)},
        {"__typename": "InputMessage", "recipient": owner(2)},
        {"__typename": "InputContract"},
    ]
    outputs = [
        {"__typename": "CoinOutput", "to": owner(3), "amount": "1"},
        {"__typename": "ChangeOutput", "to": owner(4), "amount": "2"},
        {"__typename": "VariableOutput", "to": owner(5), "amount": "3"},
        {"__typename": "VariableOutput", "to": owner(6), "amount": "0"},
        {"__typename": "ContractOutput"},
    ]
    mint = transaction(isMint=True, outputs=[{"__typename": "CoinOutput", "to": "?"}])
    found = read_news(news(block(5, transaction(inputs=inputs, outputs=outputs), mint)), 4, 11)

    assert found.blocks[0].owners == {owner(number) for number in range(1, 6)}
    assert not found.blocks[0].has_events


def test_a_transaction_without_lists_touches_nobody() -> None:
    found = read_news(news(block(5, transaction(inputs=None, outputs=None))), 4, 11)

    assert found.blocks[0].owners == frozenset()


def test_a_root_that_is_not_the_empty_one_tells_of_events() -> None:
    found = read_news(news(block(5, eventInboxRoot="0x" + "1" * 64)), 4, 11)

    assert found.blocks[0].has_events


def test_a_block_that_the_node_has_not_is_none() -> None:
    found = read_news(news(cursor=None, origin=None), 4, 11)

    assert (found.at_cursor, found.at_origin, found.blocks) == (None, None, ())
    assert found.tip.height == 30
    assert read_mark({"block": None}) is None


@pytest.mark.parametrize(
    "blocks",
    [
        (block(6),),
        (block(5), block(7)),
        (block(5), block(5)),
        (block(4),),
        (block(5), block(6), block(7)),
        (block(5, transactionsCount="1"),),
        (block(5, transactionsCount=None),),
        (block(5, eventInboxRoot=None),),
        (block(5, transaction(isMint=None)),),
        (block(5, transaction(inputs=[{"__typename": "InputCoin"}])),),
        (block(5, transaction(inputs=[{"__typename": "InputCoin", "owner": "0x1"}])),),
        (block(5, transaction(inputs=[{"owner": owner(1)}])),),
        (block(5, transaction(inputs="all")),),
        (block(5, transaction(outputs=[{"__typename": "CoinOutput", "to": owner(1)}])),),
        (block(5, transaction(outputs=[{"__typename": "CoinOutput", "amount": "1"}])),),
        ({**block(5), "id": "5"},),
        ({**block(5), "height": "-5"},),
        ("five",),
    ],
)
def test_what_is_missing_or_wrong_is_an_error_and_never_a_block_without_owners(
    blocks: tuple[Any, ...],
) -> None:
    with pytest.raises(MalformedAnswerError):
        read_news(news(*blocks), 4, 2)


@pytest.mark.parametrize(
    "changes",
    [{"chain": None}, {"chain": {}}, {"blocks": None}, {"blocks": {}}, {"cursor": "x"}],
)
def test_an_answer_of_another_shape_is_an_error(changes: dict[str, Any]) -> None:
    with pytest.raises(MalformedAnswerError):
        read_news(news(**changes), 4, 11)


def test_a_chain_is_known_by_its_second_block() -> None:
    nodes = [{"id": IDS[0], "height": "0"}, {"id": IDS[1], "height": "1"}]
    latest = {"latestBlock": {"id": IDS[9], "height": "9"}}
    tip, origin = read_start({"chain": latest, "blocks": {"nodes": nodes}})
    _, young = read_start({"chain": latest, "blocks": {"nodes": nodes[:1]}})

    assert tip.height == 9
    assert origin is not None
    assert origin.block_id == IDS[1]
    assert young is None


def test_amounts_are_those_of_the_owners_in_order() -> None:
    data = {"v0": {"amountU128": "5"}, "v1": {"amountU128": str(2**100)}}

    assert read_amounts(data, [owner(1), owner(2)]) == {owner(1): 5, owner(2): 2**100}
    for wrong in ({"v0": {"amountU128": "5"}}, {"v0": {"amountU128": "-5"}, "v1": data["v1"]}):
        with pytest.raises(MalformedAnswerError):
            read_amounts(wrong, [owner(1), owner(2)])
