-- The sessions of comets that are gone have ended: tell some of them; and keep the events within their bytes. Called by a logic, again as
-- long as some are left.
-- events, bytes, how many at most -> are some left (1), or not (0)
local events, bytes, most = unpack(ARGV)
trim_stream(prefix .. 'events', bytes, 4)
for _, comet in ipairs(redis.call('SMEMBERS', prefix .. 'gone')) do
	local epoch, server = string.match(comet, '^(%d+) (.*)$')
	local there = prefix .. 'there:' .. epoch
	local some = redis.call('HSCAN', there, 0, 'COUNT', most)[2]
	for i = 1, #some, 2 do tell_end(events, some[i], string.match(some[i + 1], '^%d+'), epoch, server) end
	if #some > 0 then return 1 end
	redis.call('SREM', prefix .. 'gone', comet)
end
return 0
