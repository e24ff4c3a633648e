-- The sessions of comets that are gone have ended, and rooms may be empty: tell some of them; and keep the events within their bytes. Called by a logic, again as
-- long as some are left.
-- events, bytes, how many at most -> are some left (1), or not (0)
local events, bytes, most = unpack(ARGV)
trim_stream(prefix .. 'events', bytes, 4)
for _, comet in ipairs(redis.call('SMEMBERS', prefix .. 'gone')) do
	local epoch, server = string.match(comet, '^(%d+) (.*)$')
	local there = prefix .. 'there:' .. epoch
	-- HSCAN gives up after so many empty places of a large hash: it goes on behind those that it has emptied, until there is none.
	local of, at = string.match(redis.call('GET', prefix .. 'burying') or '', '^(%d+) (%d+)$')
	local next_at, some = unpack(redis.call('HSCAN', there, of == epoch and at or '0', 'COUNT', most))
	for i = 1, #some, 2 do tell_end(events, some[i], string.match(some[i + 1], '^%d+'), epoch, server) end
	if #some > 0 or redis.call('EXISTS', there) == 1 then
		redis.call('SET', prefix .. 'burying', epoch .. ' ' .. next_at)
		return 1
	end
	redis.call('DEL', prefix .. 'burying')
	redis.call('SREM', prefix .. 'gone', comet)
end
local at = redis.call('GET', prefix .. 'vacating')
if not at then return 0 end
local next_at, some = unpack(redis.call('HSCAN', prefix .. 'occupied', at, 'COUNT', most))
for i = 1, #some, 2 do tell_if_vacated(events, some[i], '') end
if next_at == '0' then
	redis.call('DEL', prefix .. 'vacating')
	return 0
end
redis.call('SET', prefix .. 'vacating', next_at)
return 1
