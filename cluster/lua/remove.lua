-- Remove a comet. Called by a comet that goes (its epoch), by a logic that takes it for dead (epoch and updated as it saw them: it
-- may have come back, or another logic was faster), and by a logic that is told to ('' for both).
-- server, epoch or '', updated or '' -> 1: removed, 0: it is another now, or was not there
local server, epoch, updated = unpack(ARGV)
local is_epoch, is_updated = unpack(redis.call('HMGET', prefix .. 'server:' .. server, 'epoch', 'updated'))
if epoch ~= '' and (is_epoch or '0') ~= epoch or updated ~= '' and (is_updated or '0') ~= updated then return 0 end
return remove_comet(server)
