-- Tells how long the present lease of one predicate lasts.
--
-- KEYS  1 state (hash)  2 epoch (not with hash tags)
-- Returns milliseconds; 0 when there is none, its deadline is over, or it comes from before a
-- restart or failover: it permits nothing any more, and whoever asks now gets a new one.

local state = KEYS[1]
expect_type(state, 'hash')
local epoch, deadline = unpack(redis.call('HMGET', state, 'lease_epoch', 'lease_deadline'))
if epoch ~= history(KEYS[2]) then return 0 end
return math.max(0, number(deadline) - now_ms())
