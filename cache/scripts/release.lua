-- Gives a lease back unused, if it is still the caller's, and tells those who wait.
--
-- KEYS  1 state (hash)
-- ARGV  1 token  2 channel  3 message
-- Returns 1, or 0 when the lease is another's by now.
--
-- One script, because comparing and deleting in two steps could delete another's lease.

local state = KEYS[1]
expect_type(state, 'hash')
if redis.call('HGET', state, 'lease_token') ~= ARGV[1] then return 0 end
drop_lease(state)
redis.call('PUBLISH', ARGV[2], ARGV[3])
return 1
