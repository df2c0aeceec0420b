-- Notes a read: the predicates join or stay in the hot set of their chain.
--
-- KEYS  1 hot (sorted set: time of the last read)  2 due (sorted set: when to refresh)
--       then, not with hash tags: the values
-- ARGV  1 life of the hot set ms  2 how long before its end a value is due, ms
--       3 number of addresses  then the addresses, in the order of the values
--       then, with hash tags: how long each value still lives, ms
--
-- One script, because the time of the read is this server's, and because a newcomer's due time
-- must not overwrite the one of a publish in between.

expect_type(KEYS[1], 'zset')
expect_type(KEYS[2], 'zset')
local now = now_ms()
local count = tonumber(ARGV[3])
for i = 1, count do
  local address = ARGV[3 + i]
  redis.call('ZADD', KEYS[1], digits(now), address)
  local left
  if KEYS[2 + i] then left = redis.call('PTTL', KEYS[2 + i])
  else left = tonumber(ARGV[3 + count + i]) end
  local due = now
  if left > 0 then due = math.max(now, now + left - tonumber(ARGV[2])) end
  redis.call('ZADD', KEYS[2], 'NX', digits(due), address)
end
redis.call('PEXPIRE', KEYS[1], ARGV[1])
redis.call('PEXPIRE', KEYS[2], ARGV[1])
return 1
