-- Forgets the snapshots of one predicate on one chain.
--
-- KEYS  1 state (hash)  2 value  3 last known
-- Returns how many snapshots went.
--
-- The height that an invalidation demanded stays: forgetting a snapshot must not make an older
-- one acceptable. One script, so that no publish comes between snapshot and height.

expect_type(KEYS[1], 'hash')
redis.call('HDEL', KEYS[1], 'upper')
return redis.call('DEL', KEYS[2], KEYS[3])
