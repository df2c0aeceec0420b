-- Drops a value of ours that a reader could not make sense of.
--
-- KEYS  1 value
-- ARGV  1 SHA-1 of what the reader saw
-- Returns how many went.
--
-- Its marks at the end may be whole: then whoever asks for the lease would be told that a newer
-- value is there, read it again, and so on for as long as it waits. A foreign writer's value has
-- no marks; it is left alone. One script, because a good value that has just taken the place of
-- the bad one must stay.

local text = read_text(KEYS[1])
if not text or redis.sha1hex(text) ~= ARGV[1] or not marks(text) then return 0 end
return redis.call('DEL', KEYS[1])
