-- Declares what is stored of one predicate wrong, on one or several chains.
--
-- KEYS  1 global flag
--       then for each chain: state (hash), value, chain flag, tx:refresh mark
--       then, not with hash tags: changes (stream), and for each chain: due (sorted set)
-- ARGV  1 height, '' if unknown  2 flag life ms  3 tx:refresh life ms  4 state life ms
--       5 '1' to set the global flag  6 channel  7 address  8 length of the stream
--       9 life of the stream ms  10 '1' when the shared keys are given  11 length of the
--       probation ms  then the chain ids
--
-- One script, because a value that is deleted before its flag is set, or a flag that is set
-- before its lease is dropped, leaves a moment in which an old fetch may come through.
-- The last known snapshot stays.

local height, flag_ms, refresh_ms, life_ms = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local address, shared = ARGV[7], ARGV[10] == '1'
local chains = #ARGV - 11
local first_shared = 2 + 4 * chains
local now = digits(now_ms())
local probation_until = digits(tonumber(now) + tonumber(ARGV[11]))
if shared then expect_type(KEYS[first_shared], 'stream') end

for i = 1, chains do
  local at, chain_id = 2 + 4 * (i - 1), ARGV[11 + i]
  local state, value, chain_flag, refresh = KEYS[at], KEYS[at + 1], KEYS[at + 2], KEYS[at + 3]
  expect_type(state, 'hash')
  local generation = redis.call('HINCRBY', state, 'generation', 1)
  redis.call('HSET', state, 'invalidated_at', now)
  -- Without a height nothing tells a lagging node's answer from a new one.
  if height == '' then redis.call('HSET', state, 'probation_until', probation_until) end
  if height ~= '' and tonumber(height) > number(redis.call('HGET', state, 'minimum')) then
    redis.call('HSET', state, 'minimum', height)
  end
  redis.call('PEXPIRE', state, life_ms)
  redis.call('DEL', value)
  redis.call('SET', chain_flag, now, 'PX', flag_ms)
  redis.call('SET', refresh, now, 'PX', refresh_ms)
  if drop_lease(state) > 0 then redis.call('PUBLISH', ARGV[6], chain_id .. ':' .. address) end
  if shared then
    local due = KEYS[first_shared + i]
    expect_type(due, 'zset')
    redis.call('ZADD', due, 'XX', now, address)
    redis.call('XADD', KEYS[first_shared], 'MAXLEN', '~', ARGV[8], '*', 'kind', 'invalidated',
      'address', address, 'chain_id', chain_id, 'height', height, 'generation', generation)
  end
end
if ARGV[5] == '1' then redis.call('SET', KEYS[1], now, 'PX', flag_ms) end
if shared then redis.call('PEXPIRE', KEYS[first_shared], ARGV[9]) end
return 1
