-- Number a push to a user who is kept, and write it into the streams of the comets of his keys, wherever they are in this instant. Called by logic.
-- length of a stream, its bytes or '' (not to be measured now), lease, generation that the caller knows, user, a name for the push and how
-- it is kept (see push_kept), within what time it is to be confirmed (ms, or ''), fields and values but for the keys
--   -> 'unsure' | 'ok' or 'again' (see push_kept: then nothing was written), generation (see find), connections, '1 ' if there are none,
--   number in the user's stream, then of each comet: server, epoch, number of the entry
-- What it has in common with push_to.lua stands here again: three functions more that both define cost each push 6,000 instructions.
local length, bytes, lease, known, user = unpack(ARGV, 1, 5)
local confirm = ARGV[10]
local told, n_told, keys_of, online = {'ok', '', '0', '1 ', ''}, 5, {}, 0
local generation = look_for(known, lease, 'users', 5, 5, function(key, server, _, epoch)
	local keys = keys_of[server]
	online = online + 1
	if keys then
		keys[#keys + 1] = key
		return
	end
	keys_of[server] = {key}
	n_told = n_told + 3
	told[n_told - 2], told[n_told - 1] = server, epoch
end)
if not generation then return {'unsure'} end
-- First of all, so that either all of it is written or, where Redis refuses to measure, nothing.
if bytes ~= '' then
	for i = 6, n_told, 3 do trim_stream(prefix .. 'push:' .. told[i], bytes, 11) end
end
if online > 0 then told[3], told[4] = tostring(online), '' end
local pos, is_first = number_named('\1' .. user, generation, 11, redis.call('TIME')[1])
told[2], told[5] = generation, pos
if is_first and confirm ~= '' then redis.call('ZADD', prefix .. 'awaited', whole(time() + confirm), pos .. ' ' .. user) end
if not is_first then return {'again', unpack(told, 2, 5)} end
-- The number goes along in the place of two arguments that were for the script itself.
if pos ~= '' then ARGV[9], ARGV[10] = 'pos', pos end
for i = 6, n_told, 3 do
	local server = told[i]
	local number = tostring(redis.call('HINCRBY', prefix .. 'server:' .. server, 'sent', 1))
	redis.call('XADD', prefix .. 'push:' .. server, 'MAXLEN', '~', length, '*', 'n', number, 'keys', cjson.encode(keys_of[server]),
		unpack(ARGV, pos ~= '' and 9 or 11))
	told[i + 2] = number
end
return told
