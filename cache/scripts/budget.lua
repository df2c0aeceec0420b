-- Takes one node call out of the budget that all processes share.
--
-- KEYS  1 rate (string: when the calls until now would have come at an even rate, µs)
--       2 calls under way (sorted set: token -> deadline, ms)
-- ARGV  1 token  2 µs between two calls  3 µs that this lane may be ahead of the even rate
--       4 calls under way that this lane tolerates  5 life of a call ms  6 life of the rate ms
-- Returns 0 when the call may go, else the µs to wait before asking again; -1: no place among
-- those under way, nobody knows for how long.
--
-- One script, because a rate and a count that are read and written in two steps let two processes
-- take the same place. Time is this server's, so that clients' clocks do not matter.

local rate, calls = KEYS[1], KEYS[2]
local interval, ahead = tonumber(ARGV[2]), tonumber(ARGV[3])
expect_type(rate, 'string')
expect_type(calls, 'zset')
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])

redis.call('ZREMRANGEBYSCORE', calls, '-inf', digits(math.floor(now / 1000)))
if redis.call('ZCARD', calls) >= tonumber(ARGV[4]) then return -1 end
local arrival = math.max(now, number(redis.call('GET', rate)))
local early = arrival - now - ahead
if early > 0 then return math.ceil(early) end
redis.call('SET', rate, digits(arrival + interval), 'PX', ARGV[6])
redis.call('ZADD', calls, digits(math.floor(now / 1000) + tonumber(ARGV[5])), ARGV[1])
redis.call('PEXPIRE', calls, ARGV[5])
return 0
