-- Lets no snapshot of one chain be published any more that is true below a height.
--
-- KEYS  1 floor (string)
-- ARGV  1 height  2 life ms
-- Returns the floor that holds now.
--
-- One script, because a follower who was held up must not put it back.

local floor = number(read_text(KEYS[1]))
if tonumber(ARGV[1]) > floor then floor = tonumber(ARGV[1]) end
redis.call('SET', KEYS[1], digits(floor), 'PX', ARGV[2])
return floor
