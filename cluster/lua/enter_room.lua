-- Somebody is in this room of a comet. Called by a comet whose clients join, where somebody wants events.
-- server, room, events -> 1: it was not there, 0
local server, room, events = unpack(ARGV)
if redis.call('HSETNX', prefix .. 'rooms:' .. server, room, 1) == 0 then return 0 end
tell_occupied(events, room, server)
return 1
