-- A room has its first member, or has lost its last one: in all comets. `occupied` has the rooms of which the first was told.
local function tell_occupied(events, room, server)
	if redis.call('HSETNX', prefix .. 'occupied', room, 1) == 1 then tell(events, 'occupied', 'room', room, 'server', server) end
end

local function tell_if_vacated(events, room, server)
	for _, other in ipairs(redis.call('SMEMBERS', prefix .. 'servers')) do
		if redis.call('HEXISTS', prefix .. 'rooms:' .. other, room) == 1 then return end
	end
	if redis.call('HDEL', prefix .. 'occupied', room) == 1 then tell(events, 'vacated', 'room', room, 'server', server) end
end

