-- Shared by every script; loaded in front of it.
--
-- State of one predicate on one chain, a hash (`bc:state:…`):
--   generation            raised by each invalidation
--   published_generation  the generation at the last publish; lower means: invalidated since
--   minimum               no snapshot below this block height may be published
--   upper                 upper bound of the height of the last publish
--   version               counts publishes
--   invalidated_at        Redis time of the last invalidation, ms
--   probation_until       Redis time until which a publish has a short fresh life only, ms
--   lease_token, lease_deadline, lease_epoch                the lease, and the history it began in
--   lease_chain_flag, lease_global_flag, lease_value        what a foreign writer had left then
--
-- Time is this server's own, never a client's.

local function now_ms()
  local time = redis.call('TIME')
  return tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end

-- tostring() would write 1.7641048697e+12.
local function digits(number)
  return string.format('%.0f', number)
end

local function number(text)
  return tonumber(text or '0') or 0
end

-- A key of ours that holds another type was damaged from outside: it is worth nothing.
local function expect_type(key, wanted)
  local found = redis.call('TYPE', key).ok
  if found ~= 'none' and found ~= wanted then redis.call('DEL', key) end
end

local function read_text(key)
  local text = redis.pcall('GET', key)
  if type(text) == 'string' then return text end
  return nil
end

-- The name of this server's history. After a restart or a failover it is another one, and what
-- was written under the old name may have lost later writes. Without a key (hash tags) unused.
local function history(key)
  if not key then return 'none' end
  local known = read_text(key)
  if known then return known end
  local run = string.match(redis.call('INFO', 'server'), 'run_id:(%w+)') or ''
  local replication = string.match(redis.call('INFO', 'replication'), 'master_replid:(%w+)') or ''
  known = string.sub(run, 1, 12) .. '-' .. string.sub(replication, 1, 12)
  redis.call('SET', key, known, 'EX', 604800)
  return known
end

-- What a foreign writer may change behind our back: the content and the end of life of a key.
local function fingerprint(key)
  local text = redis.pcall('GET', key)
  if type(text) == 'table' then return 'other' end
  if not text then return '-' end
  return redis.sha1hex(text) .. '@' .. digits(redis.call('PEXPIRETIME', key))
end

-- A key that came to its own end of life was changed by nobody.
local function unchanged(key, recorded, now)
  local present = fingerprint(key)
  if present == recorded then return true end
  if present ~= '-' then return false end
  local ended = tonumber(string.match(recorded or '', '@(%d+)$'))
  return ended ~= nil and ended <= now
end

-- Height and version that a value of ours carries at its end; nil for a foreign one.
local function marks(text)
  if not text then return nil end
  local height, upper, epoch, version = string.match(string.sub(text, -240),
    '"height":(%d+),"heightUpper":(%w+),"softLife":%d+,"epoch":"([%w%-]*)","version":(%d+)}$')
  if not height then return nil end
  return math.max(tonumber(height), number(upper)), epoch, tonumber(version)
end

-- Height and version of what is stored. If the state was evicted, the last known snapshot tells.
-- A clear forgets the height; versions go on, so that none ever names two snapshots.
local function stored_marks(state, last)
  local upper, version = unpack(redis.call('HMGET', state, 'upper', 'version'))
  if upper then return tonumber(upper), number(version) end
  local told, _, told_version = marks(read_text(last))
  return told or 0, math.max(number(version), told_version or 0)
end

-- The height below which nothing of a chain may be published. Without a key (hash tags) 0.
local function floor_of(key)
  return key and number(read_text(key)) or 0
end

local function drop_lease(state)
  return redis.call('HDEL', state, 'lease_token', 'lease_deadline', 'lease_epoch',
    'lease_chain_flag', 'lease_global_flag', 'lease_value')
end

-- Drops predicates that nobody has read since then from the hot set and all that belongs to it
-- (keys: hot, due, reads, changes). In portions: a bounded script, however many there are.
local function drop_cold(keys, since)
  local cold = redis.call('ZRANGEBYSCORE', keys[1], '-inf', digits(since), 'LIMIT', 0, 1000)
  if #cold == 0 then return end
  redis.call('ZREM', keys[1], unpack(cold))
  redis.call('ZREM', keys[2], unpack(cold))
  redis.call('HDEL', keys[3], unpack(cold))
  redis.call('HDEL', keys[4], unpack(cold))
end
