-- Prolongs a lease that is still the caller's.
--
-- KEYS  1 state (hash)
-- ARGV  1 token  2 lease life ms
-- Returns 1, or 0 when the lease is lost.
--
-- One script, because a lease that was taken over in between must not be prolonged.

local state = KEYS[1]
expect_type(state, 'hash')
if redis.call('HGET', state, 'lease_token') ~= ARGV[1] then return 0 end
redis.call('HSET', state, 'lease_deadline', digits(now_ms() + tonumber(ARGV[2])))
return 1
