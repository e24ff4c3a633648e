-- Write into a comet's stream that the connections of keys are led into a room, which the comet has from this moment on. Called by logic.
-- length of a stream, its bytes or '' (not to be measured now), lease, generation that the caller knows, server, room,
-- how long a number lives as for push_kept, or '' (it has none), events or '', n, n keys, fields and values
--   -> 'young', 'moved': see push
--    | 'ok', generation, number in the room's stream or '', then of the comet: server, epoch, number of the entry
local server, room, lives, events, n_keys = unpack(ARGV, 5, 9)
return fan_out(server, '', 10, n_keys, function(_, generation)
	local rooms = prefix .. 'rooms:' .. server
	local is_new = redis.call('HSET', rooms, room, string.match(redis.call('HGET', rooms, room) or '1', '^%d+') .. '+') == 1
	if is_new and events ~= '' then tell_occupied(events, room, server) end
	if lives == '' then return '', true end
	local idle_ttl, ttl = string.match(lives, '^(%d+) %d %d+ (%d+)$')
	local number_key = stream_key('n', room)
	local n, due = place(number_key, stream_key('h', room), generation, lives, true)
	redis.call('PEXPIRE', number_key, due == 'idle' and idle_ttl or longer(ttl))
	return n, true
end)
