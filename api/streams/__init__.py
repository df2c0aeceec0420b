"""Streams of balances (server-sent events): one reader of Redis a process, fanned out in memory."""
