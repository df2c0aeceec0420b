-- Prolongs a lease that is still the caller's.
--
-- KEYS  1 state (hash)  2 epoch (not with hash tags)
-- ARGV  1 token  2 lease life ms
-- Returns 1, or 0 when the lease is lost.
--
-- One script, because a lease that was taken over in between must not be prolonged. One from
-- before a restart or failover is lost too, though the server that took over still knows it.

local state = KEYS[1]
expect_type(state, 'hash')
local token, lease_epoch = unpack(redis.call('HMGET', state, 'lease_token', 'lease_epoch'))
if token ~= ARGV[1] or lease_epoch ~= history(KEYS[2]) then return 0 end
redis.call('HSET', state, 'lease_deadline', digits(now_ms() + tonumber(ARGV[2])))
return 1
