-- Write into a comet's stream that the connections of keys are led into a room, which the comet has from this moment on. Called by logic.
-- length of a stream, its bytes or '' (not to be measured now), lease, generation that the caller knows, server, room,
-- how it is kept, as for push_kept, events or '', n, n keys, fields and values
--   -> 'young', 'moved': see push
--    | 'ok', generation, number in the room's stream or '', then of the comet: server, epoch, number of the entry
local server, room, kept, events, n_keys = unpack(ARGV, 5, 9)
return fan_out(server, '', 10, n_keys, function(generation)
	local rooms = prefix .. 'rooms:' .. server
	local is_new = redis.call('HSET', rooms, room, string.match(redis.call('HGET', rooms, room) or '1', '^%d+') .. '+') == 1
	if is_new and events ~= '' then tell_occupied(events, room, server) end
	if kept == '' then return '', true end
	local idle_ttl, durable, ttl = string.match(kept, '^%d+ %d+ (%d+) (%d) %d+ (%d+)$')
	local n, held = place(room, generation, durable, idle_ttl, true)
	redis.call('PEXPIRE', number_key(room), held == 'idle' and idle_ttl or longer(ttl))
	local last = #ARGV
	ARGV[last + 1], ARGV[last + 2] = 'pos', whole(n)
	return ARGV[last + 2], true
end)
