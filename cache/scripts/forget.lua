-- Forgets what is known of one predicate, heights included: its chain was begun anew.
--
-- KEYS  1 state (hash)  2 value  3 last known
--
-- Run after an invalidation, which drops leases and raises the generation. Unlike a clear it
-- drops the heights too: those of a chain that is no more would refuse every refill until the
-- new chain has passed them.

expect_type(KEYS[1], 'hash')
redis.call('HDEL', KEYS[1], 'minimum', 'upper')
return redis.call('DEL', KEYS[2], KEYS[3])
