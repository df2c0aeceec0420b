-- Lists hot predicates that are due, the most overdue first; drops those that nobody reads.
--
-- KEYS  1 hot (sorted set)  2 due (sorted set)
-- ARGV  1 hot life ms  2 limit
--
-- One script, so that a predicate that is read in this moment is not dropped from one set only.
-- The cold ones go in portions: a bounded script, however many there are.

expect_type(KEYS[1], 'zset')
expect_type(KEYS[2], 'zset')
local now = now_ms()
local cold = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', digits(now - tonumber(ARGV[1])),
  'LIMIT', 0, 1000)
if #cold > 0 then
  redis.call('ZREM', KEYS[1], unpack(cold))
  redis.call('ZREM', KEYS[2], unpack(cold))
end
return redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', digits(now), 'LIMIT', 0, ARGV[2])
