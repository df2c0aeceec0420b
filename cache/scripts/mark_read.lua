-- Notes a read: the predicates join or stay in the hot set of their chain.
--
-- KEYS  1 hot (sorted set: time of the last read)  2 due (sorted set: when to refresh)
--       3 reads (hash: "count:time"; the count fades)  4 changes (hash)
--       then, not with hash tags: the values
-- ARGV  1 life of the hot set ms  2 how long before its end a value is due, ms
--       3 in what time a read fades, ms  4 number of addresses
--       then the addresses, in the order of the values
--       then, with hash tags: how long each value still lives, ms
--
-- One script, because the time of the read is this server's, and because a newcomer's due time
-- must not overwrite the one of a publish in between.
--
-- A server that evicts the hot set alone leaves names in the other keys that no rule would ever
-- drop: with nobody in it, the others begin anew too.
--
-- The keys do not end together: what is known of changes is kept anew after each run. Whoever was
-- not in the hot set begins with nothing all the same.

for i, wanted in ipairs({'zset', 'zset', 'hash', 'hash'}) do expect_type(KEYS[i], wanted) end
if redis.call('EXISTS', KEYS[1]) == 0 then redis.call('UNLINK', KEYS[2], KEYS[3], KEYS[4]) end
local now = now_ms()
local memory, total = tonumber(ARGV[3]), tonumber(ARGV[4])
for i = 1, total do
  local address = ARGV[4 + i]
  if redis.call('ZADD', KEYS[1], digits(now), address) == 1 then
    redis.call('HDEL', KEYS[4], address)
  end
  local left
  if KEYS[4 + i] then left = redis.call('PTTL', KEYS[4 + i])
  else left = tonumber(ARGV[4 + total + i]) end
  local due = now
  if left > 0 then due = math.max(now, now + left - tonumber(ARGV[2])) end
  redis.call('ZADD', KEYS[2], 'NX', digits(due), address)
  local count, at = string.match(redis.call('HGET', KEYS[3], address) or '', '^([%d.]+):(%d+)$')
  local faded = number(count) * math.exp(math.min(0, number(at) - now) / memory)
  redis.call('HSET', KEYS[3], address, string.format('%.4f:%s', faded + 1, digits(now)))
end
for i = 1, 3 do redis.call('PEXPIRE', KEYS[i], ARGV[1]) end
return 1
