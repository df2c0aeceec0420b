-- Stores a snapshot, if the lease under which it was fetched still permits it.
--
-- KEYS  1 state (hash)  2 value  3 chain flag  4 global flag  5 last known
--       then the chain flags of the other configured chains
--       then, not with hash tags: epoch, due (sorted set), changes (stream), floor
-- ARGV  1 token  2 height  3 upper height  4-6 the JSON: before the timestamp, between timestamp
--       and epoch, between epoch and version  7 fresh life ms  8 keep life ms  9 state life ms
--       10 how long before its end of fresh life a snapshot is due, ms
--       11 channel  12 message  13 address  14 chain id  15 number of other chain flags
--       16 length of the stream  17 life of the stream ms  18 fresh life on probation ms
--       19 '1' when it is too large for any reader; then it is not sent
-- Returns {outcome, version, ms until it is due}.
--
-- One script, because between any two of its steps an invalidation could come and be lost.
-- The lease ends in every case, so that whoever waits asks again at once.

local state, value, chain_flag, global_flag, last = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local height, upper = tonumber(ARGV[2]), tonumber(ARGV[3])
local fresh_ms, ahead_ms, others = tonumber(ARGV[7]), tonumber(ARGV[10]), tonumber(ARGV[15])
local epoch_key, due, changes, floor = unpack(KEYS, 6 + others, 9 + others)
local now, epoch = now_ms(), history(epoch_key)
expect_type(state, 'hash')

local lease = redis.call('HMGET', state, 'lease_token', 'lease_epoch', 'lease_chain_flag',
  'lease_global_flag', 'lease_value', 'minimum', 'probation_until')
if lease[1] ~= ARGV[1] then return {'lease_lost', 0} end
local stored_upper, version = stored_marks(state, last)
drop_lease(state)
redis.call('PUBLISH', ARGV[11], ARGV[12])
if lease[2] ~= epoch then return {'lease_lost', 0} end
if not (unchanged(chain_flag, lease[3], now) and unchanged(global_flag, lease[4], now)
    and unchanged(value, lease[5], now)) then
  return {'flag_changed', 0}
end
if height < math.max(number(lease[6]), floor_of(floor)) then return {'below_minimum', 0} end
if height < stored_upper then return {'older_than_stored', 0} end
if ARGV[19] == '1' then return {'too_large', 0} end

-- Soon after an invalidation that named no height this may be a lagging node's old answer: it
-- lives for seconds, then somebody asks again.
local marks_before_epoch = ARGV[5]
if number(lease[7]) > now then
  fresh_ms = math.min(fresh_ms, tonumber(ARGV[18]))
  ahead_ms = math.min(ahead_ms, math.floor(fresh_ms / 2))
  marks_before_epoch = string.gsub(ARGV[5], '"softLife":%d+',
    '"softLife":' .. digits(fresh_ms - ahead_ms))
end

version = version + 1
local json = ARGV[4] .. digits(now) .. marks_before_epoch .. epoch .. ARGV[6] .. digits(version) .. '}'
redis.call('SET', value, json, 'PX', digits(fresh_ms))
redis.call('SET', last, json, 'PX', ARGV[8])
redis.call('HSET', state, 'upper', digits(upper), 'version', digits(version),
  'published_generation', digits(number(redis.call('HGET', state, 'generation'))))
redis.call('PEXPIRE', state, ARGV[9])
redis.call('DEL', chain_flag)

-- The global flag speaks of every chain. It is taken apart, not dropped: the other chains are
-- still invalidated.
local global = redis.pcall('GET', global_flag)
if global then
  if type(global) == 'string' then
    local left = redis.call('PTTL', global_flag)
    if left <= 0 then left = 3600000 end
    for i = 6, 5 + others do redis.call('SET', KEYS[i], global, 'NX', 'PX', left) end
  end
  redis.call('DEL', global_flag)
end

if due then
  expect_type(due, 'zset')
  expect_type(changes, 'stream')
  redis.call('ZADD', due, 'XX', digits(now + fresh_ms - ahead_ms), ARGV[13])
  redis.call('XADD', changes, 'MAXLEN', '~', ARGV[16], '*', 'kind', 'published',
    'address', ARGV[13], 'chain_id', ARGV[14], 'height', ARGV[2], 'version', digits(version))
  redis.call('PEXPIRE', changes, ARGV[17])
end
return {'published', version, fresh_ms - ahead_ms}
