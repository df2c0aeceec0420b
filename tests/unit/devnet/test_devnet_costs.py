"""Costs and limits of queries, by fuel-core's rules."""

from __future__ import annotations

from typing import Any

import pytest

from devnet.execution import Executor, GraphqlRequest
from devnet.options import Limits

OWNER = "0x" + "aa" * 32
WITH_PAGE_INFO = "nodes{assetId amountU128} pageInfo{hasNextPage endCursor}"
ROWS_ONLY = "nodes{assetId amountU128}"
SDK_SELECTION = (
    "pageInfo{hasNextPage hasPreviousPage startCursor endCursor} edges{node{assetId amountU128}}"
)


def cost(query: str, *, indexation: bool = True, **variables: Any) -> tuple[int, int]:
    executor = Executor(Limits(complexity=10**9))
    prepared = executor.prepare(GraphqlRequest(query, variables), indexation=indexation)
    assert not isinstance(prepared, dict), prepared
    found = executor.reader.cost(*prepared, variables, indexation=indexation)
    return found.complexity, found.depth


def refusal(query: str, limits: Limits | None = None, *, indexation: bool = True) -> str | None:
    prepared = Executor(limits or Limits()).prepare(GraphqlRequest(query), indexation=indexation)
    return prepared["errors"][0]["message"] if isinstance(prepared, dict) else None


def balances(first: int, selection: str, owners: int = 1) -> str:
    fields = (
        f'o{n}:balances(filter:{{owner:"{OWNER}"}},first:{first}){{...F}}' for n in range(owners)
    )
    return "{" + " ".join(fields) + "} fragment F on BalanceConnection{" + selection + "}"


@pytest.mark.parametrize(
    ("first", "selection", "owners"),
    [
        (100, WITH_PAGE_INFO, 202),
        (10, WITH_PAGE_INFO, 2051),
        (1000, WITH_PAGE_INFO, 20),
        (100, ROWS_ONLY, 404),
        (200, ROWS_ONLY, 202),
        (100, SDK_SELECTION, 134),
    ],
)
def test_as_many_owners_fit_as_on_the_real_node(first: int, selection: str, owners: int) -> None:
    assert 80_000 // cost(balances(first, selection))[0] == owners


def test_the_202nd_owner_fits_and_the_203rd_does_not() -> None:
    assert refusal(balances(100, WITH_PAGE_INFO, 202)) is None
    assert refusal(balances(100, WITH_PAGE_INFO, 203)) == "Query is too complex."


def test_without_the_index_one_owner_fits() -> None:
    assert refusal(balances(10_000, WITH_PAGE_INFO, 1), indexation=False) is None
    assert refusal(balances(1, WITH_PAGE_INFO, 2), indexation=False) == "Query is too complex."


def test_balance_is_free_with_the_index() -> None:
    query = f'{{balance(owner:"{OWNER}",assetId:"{OWNER}"){{amountU128}}}}'
    assert cost(query) == (0, 2)
    assert cost(query, indexation=False) == (40_001, 2)


def test_the_chain_header_costs_83() -> None:
    assert cost("{chain{latestBlock{height} consensusParameters{chainId}}}") == (83, 3)


def test_a_variable_counts_with_its_value() -> None:
    query = "query($n:Int,$o:Address!){balances(filter:{owner:$o},first:$n){nodes{amount}}}"
    assert cost(query, n=100, o=OWNER)[0] == 132
    assert cost(query, n=1000, o=OWNER)[0] == 1320


def test_what_is_not_included_costs_all_the_same() -> None:
    assert cost("{chain{name @include(if:false) daHeight}}") == cost("{chain{name daHeight}}")


def test_twelve_blocks_with_transactions_fit_into_a_request() -> None:
    selection = (
        "nodes{height header{daHeight eventInboxRoot transactionsCount} transactions{id isMint "
        "inputs{...on InputCoin{owner assetId amount} ...on InputMessage{recipient amount data}} "
        "outputs{...on CoinOutput{to assetId amount} ...on ChangeOutput{to assetId amount} "
        "...on VariableOutput{to assetId amount}}}}"
    )
    assert refusal(f"{{blocks(first:12){{{selection}}}}}") is None
    assert refusal(f"{{blocks(first:13){{{selection}}}}}") == "Query is too complex."


def test_fields_nest_as_deep_as_the_limit_and_no_deeper() -> None:
    query = "{chain{latestBlock{header{id}}}}"
    assert refusal(query, Limits(depth=4)) is None
    assert refusal(query, Limits(depth=3)) == "Query is nested too deep."


def test_selections_nest_24_deep_at_most() -> None:
    def nested(depth: int) -> str:
        return "{" + "...{" * (depth - 1) + "health" + "}" * depth

    assert refusal(nested(24)) is None
    assert refusal(nested(25)) == "The recursion depth of the query cannot be greater than `24`"


def test_a_fragment_that_spreads_itself_is_refused() -> None:
    assert refusal("{...A} fragment A on Query{...A}") == (
        "The recursion depth of the query cannot be greater than `24`"
    )


def test_a_type_may_not_lead_back_to_itself() -> None:
    query = "{block(height:1){transactions{status{...on SuccessStatus{block{id}}}}}}"
    query = query.replace("1", '"1"')
    assert refusal(query) == "Recursion detected for field `id`"


def test_a_field_has_10_directives_at_most() -> None:
    message = refusal("{health " + "@skip(if:false) " * 11 + "}")
    assert message == "The number of directives on the field `health` cannot be greater than `10`"


@pytest.mark.parametrize(
    ("query", "message"),
    [
        (
            "{balancez}",
            'Unknown field "balancez" on type "Query". Did you mean "balances", "balance"?',
        ),
        (
            '{balance(owner:"0x"){amount}}',
            'Field "balance" argument "assetId" of type "Query" is required but not provided',
        ),
        ("{health(a:1)}", 'Unknown argument "a" on field "health" of type "Query".'),
        ("{...F}", 'Unknown fragment: "F"'),
        ("{health} fragment F on Query{health}", 'Fragment "F" is never used'),
        ("query A($x:Int){health}", 'Variable "$x" is not used by operation "A"'),
        ("{chain}", 'Field "chain" of type "ChainInfo!" must have a selection of subfields'),
        ("query A{health} query B{health}", "Operation name required in request."),
    ],
)
def test_wrong_queries_are_refused_in_the_nodes_words(query: str, message: str) -> None:
    assert refusal(query) == message


def test_a_syntax_error_shows_the_line() -> None:
    assert refusal("{balances(") == (
        " --> 1:11\n  |\n1 | {balances(\n  |           ^---\n  |\n  = expected Name, found <EOF>"
    )


def test_texts_that_were_read_are_forgotten_when_they_are_too_much(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("devnet.documents._KEPT_CHARACTERS", 1000)
    executor = Executor(Limits())
    texts = [f"{{alias{number}: health}}" for number in range(100)]
    for text in texts:
        executor.reader.read(text)
    kept = list(executor.reader._documents)
    assert kept == texts[-len(kept) :]
    assert 900 < sum(len(text) for text in kept) <= 1000
