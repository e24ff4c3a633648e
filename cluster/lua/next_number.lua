-- The next number for a v1 connection of this user. Called by logic.
-- mid, ttl -> number
-- The count is forgotten a while after the last connection came; numbers still in use are stepped over.
local n
repeat n = redis.call('INCR', prefix .. 'number:' .. ARGV[1])
until redis.call('EXISTS', prefix .. 'session:' .. ARGV[1] .. '_' .. n) == 0
redis.call('PEXPIRE', prefix .. 'number:' .. ARGV[1], ARGV[2])
return {tostring(n)}
