-- Moves the cursor of one chain's follower, and prolongs or ends his lease.
--
-- KEYS  1 follower (hash)
-- ARGV  1 token  2 lease life ms; 0 ends the lease  3 life of the hash ms  4 state
--       5 height of the chain's newest block, '' if unknown
-- Returns now ms, or 0 when the lease is another's by now: then nothing is changed.
--
-- One script, because a follower who was held up must not put the cursor back.

local follower = KEYS[1]
expect_type(follower, 'hash')
if redis.call('HGET', follower, 'token') ~= ARGV[1] then return 0 end
local now = now_ms()
redis.call('HSET', follower, 'state', ARGV[4], 'seen_at', digits(now))
if ARGV[5] ~= '' then redis.call('HSET', follower, 'tip', ARGV[5]) end
if ARGV[2] == '0' then
  redis.call('HDEL', follower, 'token', 'deadline')
else
  redis.call('HSET', follower, 'deadline', digits(now + tonumber(ARGV[2])))
end
redis.call('PEXPIRE', follower, ARGV[3])
return now
