-- Names the history of this server before a new connection is used for anything else.
--
-- KEYS  1 epoch (string)
--
-- One script, because two connections that find a restarted server must agree on the name.
-- A replica refuses the SET: a connection to it is no use to us and fails here.

local key = KEYS[1]
local run = string.match(redis.call('INFO', 'server'), 'run_id:(%w+)') or ''
local replication = string.match(redis.call('INFO', 'replication'), 'master_replid:(%w+)') or ''
redis.call('SET', key, string.sub(run, 1, 12) .. '-' .. string.sub(replication, 1, 12),
  'EX', 604800)
return 1
