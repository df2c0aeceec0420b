-- Vaults that wait for a warm-up on one chain, in one lane; whoever fetches takes a request's worth.
--
-- KEYS  1 waiting (sorted set: address -> ready at)     2 until (sorted set: address -> expires at)
--       3 taken (sorted set: address -> comes back at)  4 attempts (hash: address -> failures)
--       5 failed (sorted set: address -> forgotten at)  6 tickets (sorted set: name -> expires at)
--       7 requests under way (sorted set: token -> ends at)  8 part (set, this token's)
--       4, 5 and 7 are both lanes' together: a vault that one lane has fetched has failed in none.
-- ARGV  1 offer, take, take_full, settle or progress  2 token  3 vaults of one request  4 requests at once
--       5 life of a wish  6 life of a ticket  7 life of a part  8 how long a failure is remembered
--       (all ms)
--       offer, progress: the addresses
--       settle: 9 number done  10 number given up  11 number to try again  12 most attempts
--       13 first pause ms  14 longest pause ms, then the addresses in that order
-- Returns {addresses taken, tickets to publish, ms to publish them with, 1 if a whole request waits that
-- may begin now}; progress: two numbers for
-- each address: 0 nothing is left to do, 1 waits, 2 is being fetched, 3 given up; and its failures.
--
-- A ticket stands for a message that will come and take. There are as many as the waiting vaults
-- fill requests, so that vaults that come together are fetched together. Every number here may be
-- lost (all keys have lives and a cache forgets): a lost ticket expires, a lost part comes back.
-- Whoever plans may also take a whole request at once (take_full), without a message that is delivered
-- again should he die: while such a part is under way and no ticket is out, one more keeps looking. He
-- announces none himself: a publish of his that fails would be nobody's to repeat.
-- One script, because a vault must wait, be taken or be done, and never be two of them.

local waiting, till, taken, attempts = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local failed, tickets, calls, part = KEYS[5], KEYS[6], KEYS[7], KEYS[8]
local op, token, size, limit = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local wish_ms, ticket_ms, part_ms = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
local failed_ms = tonumber(ARGV[8])
local BUSY_MS, PORTION, BEHIND = 500, 1000, 'behind:'
for i, key in ipairs(KEYS) do expect_type(key, ({[4] = 'hash', [8] = 'set'})[i] or 'zset') end
local now = now_ms()

local function forget(address)
  redis.call('ZREM', waiting, address)
  redis.call('ZREM', till, address)
  redis.call('ZREM', taken, address)
end

local function done_with(address)
  forget(address)
  redis.call('ZREM', failed, address)
  redis.call('HDEL', attempts, address)
end

-- Its failures stay to be seen as long as it does.
local function give_up(address)
  forget(address)
  redis.call('ZADD', failed, digits(now + failed_ms), address)
end

local function overdue(key)
  return redis.call('ZRANGEBYSCORE', key, '-inf', digits(now), 'LIMIT', 0, PORTION)
end

if op == 'progress' then
  local told = {}
  for i = 9, #ARGV do
    local address, state = ARGV[i], 0
    local wished = redis.call('ZSCORE', till, address)
    local comes_back = redis.call('ZSCORE', taken, address)
    if not wished or tonumber(wished) <= now then -- nobody waits: done, given up or too late
      if wished or number(redis.call('ZSCORE', failed, address)) > now then state = 3 end
    elseif comes_back and tonumber(comes_back) > now then state = 2
    elseif comes_back or redis.call('ZSCORE', waiting, address) then state = 1
    end
    told[#told + 1] = state
    told[#told + 1] = number(redis.call('HGET', attempts, address))
  end
  return told
end

for _, address in ipairs(overdue(till)) do give_up(address) end
for _, address in ipairs(overdue(taken)) do
  redis.call('ZREM', taken, address)
  redis.call('ZADD', waiting, 'NX', digits(now), address)
end
for _, address in ipairs(overdue(failed)) do
  redis.call('ZREM', failed, address)
  redis.call('HDEL', attempts, address)
end
for _, key in ipairs({tickets, calls}) do
  redis.call('ZREMRANGEBYSCORE', key, '-inf', digits(now))
end

-- What has failed or come too late is told longer than it is worked on.
local function live_on()
  for i = 1, 7 do redis.call('PEXPIRE', KEYS[i], wish_ms + part_ms) end
  for _, key in ipairs({till, attempts, failed}) do
    redis.call('PEXPIRE', key, wish_ms + part_ms + failed_ms)
  end
end

local function full()
  return redis.call('ZCARD', calls) < limit
    and redis.call('ZCOUNT', waiting, '-inf', digits(now)) >= size
end

local function is_behind(name) return string.sub(name, 1, #BEHIND) == BEHIND end

local function taken_behind()
  if redis.call('ZCARD', taken) == 0 then return false end
  for _, name in ipairs(redis.call('ZRANGE', calls, 0, -1)) do
    if is_behind(name) then return true end
  end
  return false
end

-- Called once at the end of a run. A message that is delivered again publishes its tickets anew:
-- whether it came to that the first time, nobody knows.
local function answer(addresses, pause)
  for i = 1, limit do redis.call('ZREM', tickets, token .. ':' .. i) end
  local count, delay = redis.call('ZCARD', waiting), 0
  local missing = 0
  if is_behind(token) then
    count = 0 -- tickets are the messages' own: one is out, or one is being worked on
  elseif count > 0 then
    local free = math.max(1, limit - redis.call('ZCARD', calls))
    missing = math.max(0, math.min(math.ceil(count / size), free) - redis.call('ZCARD', tickets))
    local first = redis.call('ZRANGE', waiting, 0, 0, 'WITHSCORES')
    delay = math.max(pause, tonumber(first[2]) - now)
  elseif redis.call('ZCARD', tickets) == 0 and taken_behind() then
    missing, delay = 1, BUSY_MS
  end
  for i = 1, missing do
    redis.call('ZADD', tickets, digits(now + delay + ticket_ms), token .. ':' .. i)
  end
  live_on()
  return {addresses, missing, delay, full() and 1 or 0}
end

local function put_back(address, most, pause, longest)
  local tries = redis.call('HINCRBY', attempts, address, 1)
  if tries >= most then return give_up(address) end
  redis.call('ZREM', taken, address)
  redis.call('ZADD', waiting, digits(now + math.min(longest, pause * 2 ^ (tries - 1))), address)
end

if op == 'offer' then
  for i = 9, #ARGV do
    local address = ARGV[i]
    redis.call('ZADD', till, digits(now + wish_ms), address)
    if redis.call('ZREM', failed, address) == 1 then redis.call('HDEL', attempts, address) end
    if not redis.call('ZSCORE', taken, address) then
      redis.call('ZADD', waiting, 'NX', digits(now), address)
    end
  end
  return answer({}, 0)
end

if op == 'take_full' and not full() then return {{}, 0, 0, 0} end
if op == 'take' or op == 'take_full' then
  if op == 'take' then redis.call('ZPOPMIN', tickets) end
  local mine = {}
  for _, address in ipairs(redis.call('SMEMBERS', part)) do
    if redis.call('ZSCORE', taken, address) then mine[#mine + 1] = address end
  end
  if #mine == 0 then -- else: delivered again after its process died
    if redis.call('ZCARD', calls) >= limit then return answer({}, BUSY_MS) end
    mine = redis.call('ZRANGEBYSCORE', waiting, '-inf', digits(now), 'LIMIT', 0, size)
  end
  if #mine == 0 then return answer({}, 0) end
  for _, address in ipairs(mine) do
    redis.call('ZREM', waiting, address)
    redis.call('ZADD', taken, digits(now + part_ms), address)
    redis.call('SADD', part, address)
  end
  redis.call('PEXPIRE', part, part_ms * 4)
  redis.call('ZADD', calls, digits(now + part_ms), token)
  live_on()
  return {mine, 0, 0, 0}
end

local done, given_up = tonumber(ARGV[9]), tonumber(ARGV[10])
for i = 15, #ARGV do
  local place = i - 14
  if place <= done then done_with(ARGV[i])
  elseif place <= done + given_up then give_up(ARGV[i])
  else put_back(ARGV[i], tonumber(ARGV[12]), tonumber(ARGV[13]), tonumber(ARGV[14]))
  end
end
redis.call('DEL', part)
redis.call('ZREM', calls, token)
return answer({}, 0)
