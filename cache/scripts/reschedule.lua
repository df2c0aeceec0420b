-- Says anew when hot predicates are due; others stay out of the hot set.
--
-- KEYS  1 due (sorted set)
-- ARGV  pairs of delay ms and address
--
-- With hash tags publish and invalidate cannot reach this key and leave it to this script, which
-- a process that dies in between does not run: then the old due time stands.

expect_type(KEYS[1], 'zset')
local now = now_ms()
for i = 1, #ARGV, 2 do
  redis.call('ZADD', KEYS[1], 'XX', digits(now + tonumber(ARGV[i])), ARGV[i + 1])
end
return 1
