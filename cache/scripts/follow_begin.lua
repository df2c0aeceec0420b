-- Gives the following of one chain to the first who asks.
--
-- KEYS  1 follower (hash)
-- ARGV  1 token  2 lease life ms  3 life of the hash ms
-- Returns {1, now ms, state or ''} when it is the caller's, {0} when it is another's.
--
-- One script, because "nobody follows" and "now I follow" must be one moment. Time is this
-- server's. After a restart that lost the hash nobody follows, and the state is empty.

local follower = KEYS[1]
expect_type(follower, 'hash')
local now = now_ms()
local holder, deadline, state = unpack(redis.call('HMGET', follower, 'token', 'deadline', 'state'))
if holder and holder ~= ARGV[1] and number(deadline) > now then return {0} end
redis.call('HSET', follower, 'token', ARGV[1], 'deadline', digits(now + tonumber(ARGV[2])))
redis.call('PEXPIRE', follower, ARGV[3])
return {1, now, state or ''}
