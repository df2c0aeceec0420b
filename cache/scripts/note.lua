-- Writes down what happened to one predicate on one chain.
--
-- KEYS  1 events (list of JSON, the newest first)
-- ARGV  1 kind  2 detail  3 height, '' for none  4 events kept  5 life ms
--
-- The same event again (a node that is down, asked every 15 s) counts up instead of pushing out
-- what led to it. One script, because two processes that tell the same must not both add it.

local kind, detail, height = ARGV[1], ARGV[2], ARGV[3]
local now = digits(now_ms())
expect_type(KEYS[1], 'list')

local event = {kind = kind, detail = detail, height = height, at = now, since = now, times = 1}
local readable, last = pcall(cjson.decode, redis.call('LINDEX', KEYS[1], 0) or '{}')
if readable and last.kind == kind and last.detail == detail and last.height == height then
  event.since = last.since or now
  event.times = (tonumber(last.times) or 1) + 1
  redis.call('LSET', KEYS[1], 0, cjson.encode(event))
else
  redis.call('LPUSH', KEYS[1], cjson.encode(event))
  redis.call('LTRIM', KEYS[1], 0, tonumber(ARGV[4]) - 1)
end
redis.call('PEXPIRE', KEYS[1], ARGV[5])
return 1
