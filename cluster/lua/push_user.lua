-- Number a push to a user who is kept, and write it into the streams of the comets of his keys, wherever they are in this instant. Called by logic.
-- length of a stream, its bytes or '' (not to be measured now), lease, generation that the caller knows, user, how it is kept and a name
-- for the push (see push_kept), fields and values but for the keys
--   -> 'unsure' | 'ok' or 'again' (see push_kept: then nothing was written), generation (see find), connections, '1 ' if there are none,
--   number in the user's stream, then of each comet: server, epoch, number of the entry
local length, bytes, lease, known, user, kept, name = unpack(ARGV, 1, 7)
local now, micros = time()
local comets, keys_of, online = {}, {}, 0
local generation = look_for(known, lease, 'users', 5, 5, function(key, server, _, epoch)
	online = online + 1
	if not keys_of[server] then
		keys_of[server] = {}
		comets[#comets + 1] = {server, epoch}
	end
	table.insert(keys_of[server], key)
end)
if not generation then return {'unsure'} end
-- First of all, so that either all of it is written or, where Redis refuses to measure, nothing.
if bytes ~= '' then
	for i = 1, #comets do trim_stream(prefix .. 'push:' .. comets[i][1], bytes, 8) end
end
local pos, is_first = number_named('\1' .. user, generation, kept, name, 8, now, micros)
local told = {is_first and 'ok' or 'again', generation, tostring(online), online == 0 and '1 ' or '', pos}
for i = 1, is_first and #comets or 0 do
	local server, epoch = unpack(comets[i])
	local number = tostring(redis.call('HINCRBY', prefix .. 'server:' .. server, 'sent', 1))
	redis.call('XADD', prefix .. 'push:' .. server, 'MAXLEN', '~', length, '*', 'n', number, 'keys', cjson.encode(keys_of[server]),
		unpack(ARGV, 8))
	told[#told + 1] = server
	told[#told + 1] = epoch
	told[#told + 1] = number
end
return told
