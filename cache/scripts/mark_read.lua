-- Notes a read: the predicates join or stay in the hot set of their chain.
--
-- KEYS  1 hot (sorted set: time of the last read)  2 due (sorted set: when to refresh)
--       then the values
-- ARGV  1 life of the hot set ms  2 how long before its end a value is due, ms
--       then the addresses, in the order of the values
--
-- One script, because the time of the read is this server's, and because a newcomer's due time
-- must not overwrite the one of a publish in between.

expect_type(KEYS[1], 'zset')
expect_type(KEYS[2], 'zset')
local now = now_ms()
for i = 3, #ARGV do
  redis.call('ZADD', KEYS[1], digits(now), ARGV[i])
  local left = redis.call('PTTL', KEYS[i])
  local due = now
  if left > 0 then due = math.max(now, now + left - tonumber(ARGV[2])) end
  redis.call('ZADD', KEYS[2], 'NX', digits(due), ARGV[i])
end
redis.call('PEXPIRE', KEYS[1], ARGV[1])
redis.call('PEXPIRE', KEYS[2], ARGV[1])
return 1
