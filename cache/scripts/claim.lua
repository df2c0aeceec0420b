-- Takes predicates that are due, and node calls of the refresh budget, for one run alone.
--
-- KEYS  1 hot (sorted set)  2 due (sorted set)  3 reads (hash)  4 changes (hash)  5 budget (hash)
-- ARGV  1 hot life ms  2 calls a minute  3 calls saved up at most  4 predicates in a request
--       5 calls in a run at most  6 how far from being due others may be who fill up, ms
--       7 life of the claim ms  8 the price to begin with
-- Returns {now, price, calls, left, number that are due, addresses, reads, changes}.
--
-- One script, because two runs (of two beats) must neither take one predicate twice nor spend one
-- call twice. One request more than the calls carry is taken, so that there is a choice.

local hot, due, reads, changes, budget = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local per_minute, saved, batch = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local now = now_ms()
for i, wanted in ipairs({'zset', 'zset', 'hash', 'hash', 'hash'}) do expect_type(KEYS[i], wanted) end
drop_cold(KEYS, now - tonumber(ARGV[1]))

local calls, at, price = unpack(redis.call('HMGET', budget, 'calls', 'at', 'price'))
local level = calls and number(calls) or saved
level = math.min(saved, level + math.max(0, now - number(at)) * per_minute / 60000)
local granted = math.min(math.floor(level), tonumber(ARGV[5]))
price = tonumber(price) and price or ARGV[8]
redis.call('HSET', budget, 'calls', string.format('%.6f', level - math.max(granted, 0)),
  'at', digits(now), 'price', price)
redis.call('PEXPIRE', budget, ARGV[1])
local waiting = redis.call('ZCOUNT', due, '-inf', digits(now))
if granted < 1 or waiting == 0 then
  return {digits(now), price, math.max(granted, 0), waiting, 0, {}, {}, {}}
end

local limit = (granted + 1) * batch
local taken = redis.call('ZRANGEBYSCORE', due, '-inf', digits(now), 'LIMIT', 0, limit)
local number_due = #taken
local spare = math.min(granted, math.ceil(number_due / batch)) * batch - number_due
if spare > 0 then
  local soon = redis.call('ZRANGEBYSCORE', due, '(' .. digits(now), digits(now + tonumber(ARGV[6])),
    'LIMIT', 0, spare)
  for _, address in ipairs(soon) do taken[#taken + 1] = address end
end
local known_reads, known_changes = {}, {}
for i, address in ipairs(taken) do
  redis.call('ZADD', due, digits(now + tonumber(ARGV[7])), address)
  known_reads[i] = redis.call('HGET', reads, address) or ''
  known_changes[i] = redis.call('HGET', changes, address) or ''
end
return {digits(now), price, granted, waiting - number_due, number_due, taken, known_reads,
  known_changes}
