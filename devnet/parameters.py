"""What the chain and the node say about themselves.

The figures are those of a local `fuel-core run`; the devnet executes no scripts, so that none of
the gas figures has an effect here.
"""

from __future__ import annotations

from typing import Any

from devnet.node import ReadView
from devnet.transactions import ZERO_32_BYTES

NODE_VERSION = "0.47.1"
CONSENSUS_PARAMETERS_VERSION = 0
STATE_TRANSITION_VERSION = 29

_MAX_GAS = "30000000"

_GAS_COSTS: dict[str, Any] = {
    "version": "V1",
    "ecr1": "26135",
    "newStoragePerByte": "63",
    "contractRoot": {"__typename": "LightOperation", "base": "31", "unitsPerGas": "2"},
    "stateRoot": {"__typename": "HeavyOperation", "base": "350", "gasPerUnit": "176"},
    "s256": {"__typename": "LightOperation", "base": "38", "unitsPerGas": "3"},
    "vmInitialization": {"__typename": "LightOperation", "base": "1645", "unitsPerGas": "14"},
}

_PARAMETERS: dict[str, Any] = {
    "version": "V1",
    "privilegedAddress": ZERO_32_BYTES,
    "blockGasLimit": _MAX_GAS,
    "blockTransactionSizeLimit": "129024",
    "txParams": {
        "version": "V1",
        "maxInputs": "255",
        "maxOutputs": "255",
        "maxWitnesses": "255",
        "maxGasPerTx": _MAX_GAS,
        "maxSize": "112640",
        "maxBytecodeSubsections": "256",
    },
    "predicateParams": {
        "version": "V1",
        "maxPredicateLength": "24576",
        "maxPredicateDataLength": "24576",
        "maxGasPerPredicate": _MAX_GAS,
        "maxMessageDataLength": "102400",
    },
    "scriptParams": {
        "version": "V1",
        "maxScriptLength": "102400",
        "maxScriptDataLength": "102400",
    },
    "contractParams": {"version": "V1", "contractMaxSize": "262144", "maxStorageSlots": "1760"},
    "feeParams": {"version": "V1", "gasPriceFactor": "92000", "gasPerByte": "63"},
    "gasCosts": _GAS_COSTS,
}


def chain_info(view: ReadView) -> dict[str, Any]:
    """Return what `chain` tells."""
    latest = view.chain.blocks[view.on_chain_height]
    return {
        "name": view.node.options.chain_name,
        "daHeight": str(latest.da_height),
        "latestBlock": latest,
        "consensusParameters": {
            **_PARAMETERS,
            "chainId": str(view.chain_id),
            "baseAssetId": view.chain.base_asset_id,
        },
        "gasCosts": _GAS_COSTS,
    }


def node_info(view: ReadView) -> dict[str, Any]:
    """Return what `nodeInfo` tells."""
    indexed = view.node.indexation
    return {
        "nodeVersion": NODE_VERSION,
        "utxoValidation": True,
        "vmBacktrace": False,
        "maxTx": "160000",
        "maxGas": "30000000000",
        "maxSize": "99876700",
        "maxDepth": "160",
        "indexation": {"balances": indexed, "coinsToSpend": indexed, "assetMetadata": indexed},
        "txPoolStats": {"txCount": str(view.chain.pool_size), "totalSize": "0", "totalGas": "0"},
    }
