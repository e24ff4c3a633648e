-- How many are in rooms of a comet, which may have lost all that was told of them. Called by a comet, where somebody wants events.
-- server, events, then of each: room, count -> how many were news
local server, events = ARGV[1], ARGV[2]
local news = redis.call('HSET', prefix .. 'rooms:' .. server, unpack(ARGV, 3))
for i = 3, #ARGV, 2 do
	if ARGV[i + 1] ~= '0' then tell_occupied(events, ARGV[i], server) end
end
return news
