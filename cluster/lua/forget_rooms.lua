-- Delete rooms in which nobody is any more from those of a comet, but for one into which a back end has led somebody meanwhile: that has a
-- + behind its count (push_join.lua), until the comet has read of it and writes its count. Called by a comet.
-- server, events or '', rooms -> how many are deleted
local server, events = unpack(ARGV, 1, 2)
local rooms, gone = prefix .. 'rooms:' .. server, 0
for i = 3, #ARGV do
	local count = redis.call('HGET', rooms, ARGV[i])
	if count and string.sub(count, -1) ~= '+' then
		gone = gone + redis.call('HDEL', rooms, ARGV[i])
		if events ~= '' then tell_if_vacated(events, ARGV[i], server) end
	end
end
return gone
