-- Drops the drop-in invalidation flags of one predicate.
--
-- KEYS  1 global flag  2 number of chains as ARGV tells: for each chain to clear, chain flag and
--       value; then the chain flags of the other configured chains
-- ARGV  1 number of chains to clear
--
-- A value under a flag is an old one (an unfenced writer put it there): it goes with its flag,
-- or dropping the flag would make it fresh again. The global flag is taken apart, so that the
-- other chains stay invalidated.

local chains = tonumber(ARGV[1])
local global = read_text(KEYS[1])
local left = redis.call('PTTL', KEYS[1])
for i = 1, chains do
  local chain_flag, value = KEYS[2 * i], KEYS[2 * i + 1]
  if redis.call('DEL', chain_flag) == 1 or global then redis.call('DEL', value) end
end
if global then
  if left <= 0 then left = 3600000 end
  for i = 2 * chains + 2, #KEYS do redis.call('SET', KEYS[i], global, 'NX', 'PX', left) end
end
redis.call('DEL', KEYS[1])
return 1
