-- Write pushes to keys or users into the streams of their comets, wherever they are in this instant. Called by logic.
-- Of each push the number of its arguments, and these: length of a stream, its bytes or '' (not to be measured now), lease, generation that
-- the caller knows, 'keys' | 'users', n, n of them, fields and values but for the keys
--   -> of each an error or: 'unsure' | 'ok', generation (see find), connections, the names (1 is the first) under which nobody is, then of
--   each comet: server, epoch, number of the entry

-- Its arguments stand in ARGV from `first` up to `last`.
local function push(first, last)
	local length, bytes, lease, known, by, n = unpack(ARGV, first, first + 5)
	local names, fields = first + 6, first + 6 + n
	local told, n_told, keys_of, seen, there, online = {'ok'}, 2, {}, {}, {}, 0
	local generation = look_for(known, lease, by, names, fields - 1, function(key, server, _, epoch, of)
		local keys = keys_of[server]
		there[of] = true
		if seen[key] then return end -- the caller may name it twice
		seen[key] = true
		online = online + 1
		if keys then
			keys[#keys + 1] = key
			return
		end
		keys_of[server] = {key}
		n_told = n_told + 3
		told[n_told], told[n_told + 1] = server, epoch
	end)
	if not generation then return {'unsure'} end
	local absent = ''
	for i = 1, n do
		if not there[i] then absent = absent .. i .. ' ' end
	end
	told[2], told[3], told[4] = generation, tostring(online), absent
	-- First of all, so that either all of it is written or, where Redis refuses to measure, nothing.
	if bytes ~= '' then
		for i = 5, n_told, 3 do trim_stream(prefix .. 'push:' .. told[i], bytes, fields, last) end
	end
	for i = 5, n_told, 3 do
		local server = told[i]
		local number = tostring(redis.call('HINCRBY', prefix .. 'server:' .. server, 'sent', 1))
		redis.call('XADD', prefix .. 'push:' .. server, 'MAXLEN', '~', length, '*', 'n', number, 'keys', cjson.encode(keys_of[server]),
			unpack(ARGV, fields, last))
		told[i + 2] = number
	end
	return told
end

local answers, n_answers, at = {}, 0, 1
while at <= #ARGV do
	local last = at + ARGV[at]
	local went_well, answer = pcall(push, at + 1, last)
	n_answers = n_answers + 1
	-- Those before it are written, and those behind it may be: an error is one push's.
	answers[n_answers] = went_well and answer or {err = type(answer) == 'table' and answer.err or answer}
	at = last + 1
end
return answers
