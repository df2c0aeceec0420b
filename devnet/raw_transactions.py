"""Reading of transactions in Fuel's canonical encoding.

Big-endian words of 8 bytes; bytes are filled up with zeros to whole words. The id is the SHA-256
of the chain id and the encoding, with zeros where a block producer writes and without witnesses.
Layout and id are those of the TypeScript SDK's coders (`@fuel-ts/transactions` 0.103).

Only scripts are read. Create, upgrade, upload and blob change no balance but the fee.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from devnet.transactions import ZERO_32_BYTES
from domain.errors import InvalidValueError

_SCRIPT = 0
_COIN, _CONTRACT, _MESSAGE = 0, 1, 2
_OUTPUT_COIN, _OUTPUT_CONTRACT, _OUTPUT_CHANGE, _OUTPUT_VARIABLE = 0, 1, 2, 3
_KNOWN_POLICIES = 0b111111
_WORD = 8


@dataclass(frozen=True, slots=True)
class RawInput:
    """An input: of a coin by its UTXO id, or of a message by its nonce; the other is empty."""

    utxo_id: str
    nonce: str
    owner: str
    amount: int
    asset_id: str
    witness_index: int
    predicate: bytes
    predicate_data: bytes


@dataclass(frozen=True, slots=True)
class RawOutput:
    """An output; `kind` is the encoding's number."""

    kind: int
    to: str
    amount: int
    asset_id: str

    @property
    def is_change(self) -> bool:
        """Tell whether it takes what is left."""
        return self.kind == _OUTPUT_CHANGE

    @property
    def is_variable(self) -> bool:
        """Tell whether the script decides on it."""
        return self.kind == _OUTPUT_VARIABLE


@dataclass(frozen=True, slots=True)
class RawScript:
    """A decoded transaction of type Script."""

    transaction_id: str
    script: bytes
    script_data: bytes
    script_gas_limit: int
    inputs: tuple[RawInput, ...]
    outputs: tuple[RawOutput, ...]
    witnesses: tuple[bytes, ...]


@dataclass(slots=True)
class _Reader:
    """Reads words and bytes in order, and remembers what does not count for the id."""

    raw: bytes
    place: int = 0
    zeroed: list[tuple[int, int]] = field(default_factory=list)

    def take(self, length: int) -> bytes:
        """Return the next bytes, and skip what fills up their last word.

        Raises:
            InvalidValueError: there are no more.
        """
        end = self.place + length
        padded = end + (-length) % _WORD
        if padded > len(self.raw):
            raise InvalidValueError("the transaction's bytes end too early")
        taken = self.raw[self.place : end]
        self.place = padded
        return taken

    def number(self) -> int:
        return int.from_bytes(self.take(_WORD), "big")

    def bytes32(self) -> str:
        return "0x" + self.take(32).hex()

    def without_id(self, length: int) -> bytes:
        """Take bytes that do not count for the id."""
        self.zeroed.append((self.place, self.place + length))
        return self.take(length)


def decode_script(raw: bytes, chain_id: int) -> RawScript:
    """Return the transaction that somebody submits.

    Raises:
        InvalidValueError: the bytes are no transaction, or one that the devnet cannot apply.
    """
    reader = _Reader(raw)
    if reader.number() != _SCRIPT:
        raise InvalidValueError("the devnet takes transactions of type Script only")
    gas_limit = reader.number()
    reader.without_id(32)  # the receipts' root
    script_length, data_length, policies = reader.number(), reader.number(), reader.number()
    inputs_count, outputs_count = reader.number(), reader.number()
    witnesses_count = int.from_bytes(reader.without_id(_WORD), "big")
    script, script_data = reader.take(script_length), reader.take(data_length)
    if policies & ~_KNOWN_POLICIES:
        raise InvalidValueError(f"unknown policies: {policies:#b}")
    reader.take(_WORD * policies.bit_count())
    inputs = tuple(_read_input(reader) for _ in range(_few(inputs_count)))
    outputs = tuple(_read_output(reader) for _ in range(_few(outputs_count)))
    transaction_id = _transaction_id(reader, chain_id)
    witnesses = tuple(reader.take(reader.number()) for _ in range(_few(witnesses_count)))
    if reader.place != len(raw):
        raise InvalidValueError("the transaction's bytes go on after its end")
    return RawScript(transaction_id, script, script_data, gas_limit, inputs, outputs, witnesses)


def _few(count: int) -> int:
    if count > 255:  # noqa: PLR2004 - the consensus parameters' maxInputs, maxOutputs, maxWitnesses
        raise InvalidValueError(f"a transaction has at most 255 of each, not {count}")
    return count


def _read_input(reader: _Reader) -> RawInput:
    kind = reader.number()
    if kind == _COIN:
        return _read_coin(reader)
    if kind == _MESSAGE:
        return _read_message(reader)
    what = "the devnet has no contracts" if kind == _CONTRACT else f"unknown input type {kind}"
    raise InvalidValueError(what)


def _read_coin(reader: _Reader) -> RawInput:
    origin, output_index = reader.bytes32(), reader.number()
    owner, amount, asset_id = reader.bytes32(), reader.number(), reader.bytes32()
    reader.without_id(2 * _WORD)  # where the coin was made
    witness_index = reader.number()
    reader.without_id(_WORD)  # the gas that its predicate used
    predicate_length, data_length = reader.number(), reader.number()
    predicate, data = reader.take(predicate_length), reader.take(data_length)
    utxo_id = f"{origin}{output_index:04x}"
    return RawInput(utxo_id, "", owner, amount, asset_id, witness_index, predicate, data)


def _read_message(reader: _Reader) -> RawInput:
    reader.bytes32()  # the sender
    recipient, amount, nonce = reader.bytes32(), reader.number(), reader.bytes32()
    witness_index = reader.number()
    reader.without_id(_WORD)
    lengths = reader.number(), reader.number(), reader.number()
    _data, predicate, predicate_data = (reader.take(length) for length in lengths)
    return RawInput("", nonce, recipient, amount, "", witness_index, predicate, predicate_data)


def _read_output(reader: _Reader) -> RawOutput:
    kind = reader.number()
    if kind == _OUTPUT_VARIABLE:
        reader.without_id(32 + _WORD + 32)
        return RawOutput(kind, ZERO_32_BYTES, 0, ZERO_32_BYTES)
    if kind not in {_OUTPUT_COIN, _OUTPUT_CHANGE}:
        contract = kind == _OUTPUT_CONTRACT
        what = "the devnet has no contracts" if contract else f"unknown output type {kind}"
        raise InvalidValueError(what)
    to = reader.bytes32()
    amount = reader.number() if kind == _OUTPUT_COIN else _unsigned_number(reader)
    return RawOutput(kind, to, amount, reader.bytes32())


def _unsigned_number(reader: _Reader) -> int:
    return int.from_bytes(reader.without_id(_WORD), "big")


def _transaction_id(reader: _Reader, chain_id: int) -> str:
    """Hash what was read so far: everything but the witnesses."""
    counted = bytearray(reader.raw[: reader.place])
    for start, end in reader.zeroed:
        counted[start:end] = bytes(end - start)
    return "0x" + hashlib.sha256(chain_id.to_bytes(_WORD, "big") + counted).hexdigest()
