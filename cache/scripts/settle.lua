-- Makes appointments after a refresh run, keeps the price and gives unused calls back.
--
-- KEYS  1 due (sorted set)  2 changes (hash)  3 budget (hash)
-- ARGV  1 price  2 unused calls  3 calls saved up at most  4 life of the keys ms
--       then for each predicate: address, delay ms, what is known of its changes ('' as before)
--
-- One script, because an invalidation that came during the run has made its predicate due at once,
-- and that must not be put off. Whoever has fallen out meanwhile is not taken in again.

local due, changes, budget = KEYS[1], KEYS[2], KEYS[3]
expect_type(due, 'zset')
expect_type(changes, 'hash')
expect_type(budget, 'hash')
local now = now_ms()
for i = 5, #ARGV, 3 do
  local address, score = ARGV[i], redis.call('ZSCORE', due, ARGV[i])
  if score then
    if tonumber(score) > now then
      redis.call('ZADD', due, digits(now + tonumber(ARGV[i + 1])), address)
    end
    if ARGV[i + 2] ~= '' then redis.call('HSET', changes, address, ARGV[i + 2]) end
  end
end
local level = math.min(tonumber(ARGV[3]), number(redis.call('HGET', budget, 'calls')) + ARGV[2])
redis.call('HSET', budget, 'calls', string.format('%.6f', level), 'price', ARGV[1])
redis.call('PEXPIRE', budget, ARGV[4])
redis.call('PEXPIRE', changes, ARGV[4])
return 1
