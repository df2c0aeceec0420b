"""Every Redis key that we read or write: its type, its owner and its life.

===============================  ======  ==============  =========================================
key                              type    owner           life
===============================  ======  ==============  =========================================
balance:{a}:{c}                  string  shared, Bako's  fresh life (`BALANCE_CACHE_TTL`), jittered
balance:invalidated:{a}          string  shared, Bako's  flag life (`BALANCE_INVALIDATION_TTL`)
balance:invalidated:{a}:{c}      string  shared, Bako's  flag life
tx:refresh:{a}:{c}               string  shared, Bako's  `TRANSACTION_CACHE_TTL`
session-{token}                  string  Bako; we read   Bako's
quotes                           hash    Bako; we read   Bako's
assets:maps                      string  Bako; we read   Bako's
bc:last:{a}:{c}                  string  ours            keep life (`BALANCE_KEEP_TTL`)
bc:state:{a}:{c}                 hash    ours            the longest of keep, fresh and flag life
bc:events:{a}:{c}                list    ours            a day after the last event
bc:hot:{c}                       zset    ours            hot life after the last read
bc:due:{c}                       zset    ours            as bc:hot
bc:reads:{c}                     hash    ours            as bc:hot
bc:watched:{c}                   hash    ours            hot life after the last refresh
bc:refresh:{c}                   hash    ours            hot life after the last refresh run
bc:beat                          string  ours            a day after beat's last sign
bc:changes                       stream  ours            keep life after the last change; bounded
bc:counters                      hash    ours            30 days after the last count
bc:registry                      string  ours            an hour after the last change told
bc:floor:{c}                     string  ours            as bc:state, after the last walk
bc:epoch                         string  ours            7 days after the last new connection
bc:audit:{c}                     string  ours            7 days after the last audit
bc:kept                          hash    ours            7 days after the last run of the keeper
bc:follow:{c}                    hash    ours            30 days after the follower's last step
bc:recent:{kind}                 stream  ours            a day after the last entry; bounded
bc:ended                         (pub/sub channel: which leases ended)
===============================  ======  ==============  =========================================

``{a}`` is an address, ``{c}`` a chain id. Nothing of ours is under ``balance:``: Bako's
`invalidateAll` deletes that prefix and its statistics count it.

With hash tags (Redis Cluster) the address stands in literal braces, so that all keys of one
predicate share a slot; Bako's TypeScript does not know that form. The keys of the hot set and of
its refreshes share the slot of their chain.
"""

from __future__ import annotations

from dataclasses import dataclass

from domain.values import Address, ChainId

EPOCH = "bc:epoch"
CHANGES = "bc:changes"
REGISTRY = "bc:registry"
COUNTERS = "bc:counters"
KEPT = "bc:kept"
BEAT = "bc:beat"
ENDED_CHANNEL = "bc:ended"
QUOTES = "quotes"
ASSET_MAPS = "assets:maps"
VALUE_PATTERN = "balance:*0x*"
"""Matches values and flags; `chain_of_value` tells them apart."""

_VALUE_PARTS = 3


@dataclass(frozen=True, slots=True)
class Keys:
    """Builds the keys of predicates."""

    hash_tags: bool = False

    def _tag(self, address: Address) -> str:
        return f"{{{address}}}" if self.hash_tags else address

    def value(self, address: Address, chain_id: ChainId) -> str:
        """The fresh snapshot, in Bako's JSON."""
        return f"balance:{self._tag(address)}:{chain_id}"

    def chain_flag(self, address: Address, chain_id: ChainId) -> str:
        """When one chain's balances were invalidated, ms."""
        return f"balance:invalidated:{self._tag(address)}:{chain_id}"

    def global_flag(self, address: Address) -> str:
        """When every chain's balances were invalidated, ms."""
        return f"balance:invalidated:{self._tag(address)}"

    def transaction_refresh(self, address: Address, chain_id: ChainId) -> str:
        """Tells Bako's transaction cache to look for new transactions."""
        return f"tx:refresh:{self._tag(address)}:{chain_id}"

    def last_known(self, address: Address, chain_id: ChainId) -> str:
        """The last snapshot that we published; an invalidation leaves it."""
        return f"bc:last:{self._tag(address)}:{chain_id}"

    def state(self, address: Address, chain_id: ChainId) -> str:
        """Generation, heights and lease; the fields are listed in scripts/prelude.lua."""
        return f"bc:state:{self._tag(address)}:{chain_id}"

    def events(self, address: Address, chain_id: ChainId) -> str:
        """What happened to one predicate, for operators."""
        return f"bc:events:{self._tag(address)}:{chain_id}"

    def floor(self, chain_id: ChainId) -> str:
        """The height below which nothing of a chain is published any more."""
        return f"bc:floor:{self._chain_tag(chain_id)}"

    def hot(self, chain_id: ChainId) -> str:
        """When each hot predicate was last read."""
        return f"bc:hot:{self._chain_tag(chain_id)}"

    def due(self, chain_id: ChainId) -> str:
        """When each hot predicate must be refreshed."""
        return f"bc:due:{self._chain_tag(chain_id)}"

    def reads(self, chain_id: ChainId) -> str:
        """How often each hot predicate is read; older reads fade."""
        return f"bc:reads:{self._chain_tag(chain_id)}"

    def watched(self, chain_id: ChainId) -> str:
        """What refreshes have seen of the changes of each hot predicate."""
        return f"bc:watched:{self._chain_tag(chain_id)}"

    def refresh(self, chain_id: ChainId) -> str:
        """The budget of refreshes: calls that are left, and the price of a place in one."""
        return f"bc:refresh:{self._chain_tag(chain_id)}"

    def _chain_tag(self, chain_id: ChainId) -> str:
        return f"{{chain-{chain_id}}}" if self.hash_tags else str(chain_id)


def session(token: str) -> str:
    """Bako's session of one login."""
    return f"session-{token}"


def chain_of_value(key: str) -> str | None:
    """Return the chain id that a `balance:…` key names, None for an invalidation flag."""
    parts = key.split(":")
    if len(parts) != _VALUE_PARTS or parts[1] == "invalidated":
        return None
    return parts[2]
