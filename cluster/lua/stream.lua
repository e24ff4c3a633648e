-- The numbered stream of a room, called as the room is, or of a user, called as his word behind a byte 1 (there it is `h:u:{user}`). `h:r:{room}`
-- has what was pushed last, "<op> <writer's number> <body>" each. `n:r:{room}` is "<number> <generation> <second of the next renewal>", and
-- behind it the last writers, each with the number of its own of its last push; nothing was pushed yet where the second is "idle". The
-- number is that of the newest push.
--
-- Scripts take a number from a text and write it as one, and each change between the two costs Redis as much as half a command: so it is
-- left a text where only that is needed, and Lua's arithmetic takes texts.
local function stream_key(kind, name)
	if string.byte(name) == 1 then return prefix .. kind .. ':u:{' .. string.sub(name, 2) .. '}' end
	return prefix .. kind .. ':r:{' .. name .. '}'
end

-- What the devices of a user have confirmed lives as long as the number: without it the rest of the history would look like a gap.
local function keep_acks(name, ttl)
	if string.byte(name) == 1 then redis.call('PEXPIRE', stream_key('ack', name), ttl) end
end

-- Times to live are renewed when a quarter of the shorter one has passed, and are as much longer.
local function longer(ttl)
	return whole(ttl * 1.25)
end

-- Where a stream goes on, past all numbers that can have been given: at the clock, which is faster than any stream. Where its number is not
-- below that, since a clock was ahead or put back, a minute past it, and by a dice: its own data may be lost again, and then it is to go
-- elsewhere than before.
local function beyond(n, micros)
	if not n or tonumber(n) + 1000000 < micros then return whole(micros) end
	return whole(n + 60000000 + micros % 1000000)
end

-- Where the stream with these keys is, the second of its renewal or 'idle', its writers, and was it made. A number of an earlier
-- generation may have been larger when data were lost, and then others have seen numbers above it: the stream jumps, and its history is
-- forgotten. `lives` is "<idle ttl> <durable>" and perhaps more; durable, 1: a new generation loses nothing. A number that is not there
-- begins, if it may (`make`); nil: it may not.
local function place(number_key, history_key, generation, lives, make)
	local value = redis.call('GET', number_key)
	local n, of, due, writers
	if value then n, of, due, writers = string.match(value, '^(%d+) (%d+) (%w+)(.*)$') end
	if n and of == generation then return n, due, writers end
	local idle_ttl, durable = string.match(lives, '^(%d+) (%d)')
	if n and durable == '1' then return n, due, writers end
	if not n and not make then return nil end
	local now, micros = time()
	local at = beyond(n, micros)
	redis.call('DEL', history_key)
	redis.call('SET', number_key, at .. ' ' .. generation .. ' idle' .. (writers or ''), 'PX', idle_ttl)
	return at, 'idle', writers or '', not value
end

