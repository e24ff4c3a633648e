-- Write a push to a room that is kept, or has a name, into the stream of each comet that may have the room. Called by logic.
-- length of a stream, its bytes or '' (not to be measured now), lease, generation that the caller knows, room,
-- how it is kept: '' or "messages bytes, idle ttl of a number, durable, ttl, ttl of a number" with blanks, a name for the push or '', fields and values
--   -> 'young': Redis lost data a moment ago
--    | 'ok', generation, number in the room's stream or '', then of each comet: server, epoch, number of the entry
--    | 'again', generation, number: a push of this name was written before, or this very push; nothing was written
local room, kept, name = unpack(ARGV, 5, 7)
return fan_out('', room, 8, 0, function(generation, first, now, micros)
	return number_named(room, generation, kept, name, first, now, micros)
end)
