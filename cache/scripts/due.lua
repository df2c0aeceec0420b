-- Lists hot predicates that are due, the most overdue first; drops those that nobody reads.
--
-- KEYS  1 hot (sorted set)  2 due (sorted set)  3 reads (hash)  4 changes (hash)
-- ARGV  1 hot life ms  2 limit
--
-- One script, so that a predicate that is read in this moment is not dropped from one key only.

for i, wanted in ipairs({'zset', 'zset', 'hash', 'hash'}) do expect_type(KEYS[i], wanted) end
local now = now_ms()
drop_cold(KEYS, now - tonumber(ARGV[1]))
return redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', digits(now), 'LIMIT', 0, ARGV[2])
