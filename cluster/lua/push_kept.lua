-- Write a push to a room that is kept, or has a name, into the stream of each comet that may have the room. Called by logic.
-- length of a stream, its bytes or '' (not to be measured now), lease, generation that the caller knows, room, a name for the push or '',
-- how many messages are kept, within how many bytes or '' (not to be measured now), and "<idle ttl of a number> <durable> <ttl> <ttl of a number>", or '' for each of the three, fields and values
--   -> 'young': Redis lost data a moment ago
--    | 'ok', generation, number in the room's stream or '', then of each comet: server, epoch, number of the entry
--    | 'again', generation, number: a push of this name was written before, or this very push; nothing was written. Its number, or '' where
--      it has none or that is not known any more
return fan_out('', ARGV[5], 10, 0, number_named)
