-- Tells how long the present lease of one predicate lasts.
--
-- KEYS  1 state (hash)
-- Returns milliseconds; 0 when there is none or its deadline is over.

local state = KEYS[1]
expect_type(state, 'hash')
return math.max(0, number(redis.call('HGET', state, 'lease_deadline')) - now_ms())
