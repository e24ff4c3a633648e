-- Write a push into the stream of each comet that it concerns. Called by logic.
-- length of a stream, its bytes or '' (not to be measured now), lease, generation that the caller knows, server or '', room or '', n, n keys, fields and values
--   -> 'young': Redis lost data a moment ago | 'moved': look again where the keys are; nothing was written
--    | 'ok', generation, then of each comet: server, epoch, number of the entry
local to, room, n_keys = unpack(ARGV, 5, 7)
return fan_out(to, room, 8, n_keys)
