-- Drops the drop-in invalidation flags of one predicate.
--
-- KEYS  1 global flag
--       then for each chain to clear: chain flag, value, state (hash)
--       then the chain flags of the other configured chains
-- ARGV  1 channel  2 address  then the chain ids to clear
--
-- A value under a flag is an old one (an unfenced writer put it there): it goes with its flag,
-- or dropping the flag would make it fresh again. So does a lease: whoever fetches since before
-- the flag could no longer see that there was one. The global flag is taken apart, so that the
-- other chains stay invalidated.

local chains = #ARGV - 2
local global = read_text(KEYS[1])
local left = redis.call('PTTL', KEYS[1])
for i = 1, chains do
  local at = 2 + 3 * (i - 1)
  local chain_flag, value, state = KEYS[at], KEYS[at + 1], KEYS[at + 2]
  expect_type(state, 'hash')
  if redis.call('DEL', chain_flag) == 1 or global then
    redis.call('DEL', value)
    if drop_lease(state) > 0 then
      redis.call('PUBLISH', ARGV[1], ARGV[2 + i] .. ':' .. ARGV[2])
    end
  end
end
if global then
  if left <= 0 then left = 3600000 end
  for i = 2 + 3 * chains, #KEYS do redis.call('SET', KEYS[i], global, 'NX', 'PX', left) end
end
redis.call('DEL', KEYS[1])
return 1
