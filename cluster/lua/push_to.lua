-- Write a push to keys or users into the streams of their comets, wherever they are in this instant. Called by logic.
-- length of a stream, its bytes or '' (not to be measured now), lease, generation that the caller knows, 'keys' | 'users', n, n of them,
-- fields and values but for the keys
--   -> 'unsure' | 'ok', generation (see find), connections, the names (1 is the first) under which nobody is, then of each comet: server,
--   epoch, number of the entry
local length, bytes, lease, known, by, n = unpack(ARGV, 1, 6)
local told, n_told, keys_of, seen, there, online = {'ok'}, 2, {}, {}, {}, 0
local generation = look_for(known, lease, by, 7, 6 + n, function(key, server, _, epoch, of)
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
	for i = 5, n_told, 3 do trim_stream(prefix .. 'push:' .. told[i], bytes, 7 + n) end
end
for i = 5, n_told, 3 do
	local server = told[i]
	local number = tostring(redis.call('HINCRBY', prefix .. 'server:' .. server, 'sent', 1))
	redis.call('XADD', prefix .. 'push:' .. server, 'MAXLEN', '~', length, '*', 'n', number, 'keys', cjson.encode(keys_of[server]),
		unpack(ARGV, 7 + n))
	told[i + 2] = number
end
return told
