-- Events for back ends: `events` is nil, or "<most> <kinds>", as the settings of the caller have them. `events:n` is "<number of the newest>
-- <number before the first of this life> <generation>": after a loss numbers that were seen may be missing, and a new life begins above all.

-- Redis has refused nothing yet, or the whole script: what fails here is an entry that would not be the newest, and must not undo the rest.
local function tell(events, kind, ...)
	if not string.find(events .. ' ', ' ' .. kind .. ' ', 1, true) then return end
	local now, micros = time()
	local generation = redis.call('GET', prefix .. 'generation') or '0'
	local n, begin, of = string.match(redis.call('GET', prefix .. 'events:n') or '', '^(%d+) (%d+) (%d+)$')
	if of ~= generation then
		local was = tonumber(n or '0')
		n = whole(was + 1000000 < micros and micros or was + 60000000 + micros % 1000000) -- as `beyond` in stream.lua
		begin = n
	end
	n = whole(tonumber(n) + 1)
	redis.call('SET', prefix .. 'events:n', n .. ' ' .. begin .. ' ' .. generation)
	redis.pcall('XADD', prefix .. 'events', 'MAXLEN', '~', string.match(events, '^%d+'), n .. '-0', 'kind', kind, 'time', whole(now), ...)
end

-- This session of the key has ended, if it was told that it began: `there:<epoch>` has the sessions of a comet that were. Once each.
local function tell_end(events, key, id, epoch, server)
	local there = prefix .. 'there:' .. epoch
	local of, user = string.match(redis.call('HGET', there, key) or '', '^(%d+) (.*)$')
	if of ~= id then return end
	redis.call('HDEL', there, key)
	tell(events, 'offline', 'key', key, 'user', user, 'session', id, 'server', server)
end

-- The key has this session now, and had another, or nil, before.
local function tell_begin(events, key, id, user, epoch, server, was, was_epoch, was_server)
	if was and was ~= id then tell_end(events, key, was, was_epoch, was_server) end
	local there = prefix .. 'there:' .. epoch
	if string.match(redis.call('HGET', there, key) or '', '^%d+') == id then return end
	redis.call('HSET', there, key, id .. ' ' .. user)
	tell(events, 'online', 'key', key, 'user', user, 'session', id, 'server', server)
end

