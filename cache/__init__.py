"""Redis: keys, codec, Lua scripts, the coherent store, leases."""
