-- Gives the lease of one predicate on one chain to the first who asks.
--
-- KEYS  1 state (hash)  2 value  3 chain flag  4 global flag  5 last known  6 epoch (not with
--       hash tags)  7 floor (likewise)
-- ARGV  1 token  2 lease life ms  3 state life ms
--       4 the version that the caller has read, '' for a fetch in any case
-- Returns {1, required height} when the lease is the caller's, {0, wait ms} when it is another's
-- or when a newer fresh value is there already (wait 0).
--
-- One script, because "nobody holds it" and "now I hold it" must be one moment, and because what
-- foreign writers had left must be noted in the moment in which the fetch may begin.

local state, value, chain_flag, global_flag, last = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local token, lease_ms, life_ms, seen = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4]
local now, epoch = now_ms(), history(KEYS[6])
expect_type(state, 'hash')

if seen ~= '' and redis.call('EXISTS', chain_flag, global_flag) == 0 then
  local _, value_epoch, version = marks(read_text(value))
  if version and value_epoch == epoch and version > tonumber(seen) then return {0, 0} end
end

local holder, deadline, lease_epoch, minimum = unpack(redis.call('HMGET', state,
  'lease_token', 'lease_deadline', 'lease_epoch', 'minimum'))
-- The same token again is a retry of a request whose answer was lost.
if holder and holder ~= token and lease_epoch == epoch and number(deadline) > now then
  return {0, number(deadline) - now}
end
redis.call('HSET', state, 'lease_token', token, 'lease_deadline', digits(now + lease_ms),
  'lease_epoch', epoch, 'lease_chain_flag', fingerprint(chain_flag),
  'lease_global_flag', fingerprint(global_flag), 'lease_value', fingerprint(value))
redis.call('PEXPIRE', state, life_ms)
local upper = stored_marks(state, last)
return {1, math.max(number(minimum), upper, floor_of(KEYS[7]))}
