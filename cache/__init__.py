"""The coherent store of balances in Redis, and what else Bako keeps there that we read."""
