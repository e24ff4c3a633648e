-- Write a push into the stream of each comet that it concerns. Called by logic.
-- length of a stream, its bytes or '' (not to be measured now), lease, generation that the caller knows, server or '', room or '', n, n keys, fields and values
--   -> 'young': Redis lost data a moment ago | 'moved': look again where the keys are; nothing was written
--    | 'ok', generation, then of each comet: server, epoch, number of the entry
local length, bytes, lease, known, to, room, n_keys = unpack(ARGV, 1, 7)
local now = time()
local generation = redis.call('GET', prefix .. 'generation')
if not generation or young(generation, known, now, lease) then return {'young'} end
-- Since the caller looked where they are, any of them may have gone to another comet.
for i = 8, 7 + n_keys do
	local id, _, epoch, server = session(ARGV[i])
	if id and server ~= to and valid(epoch, server) then return {'moved'} end
end
local servers = to ~= '' and {to} or redis.call('SMEMBERS', prefix .. 'servers')
if #servers == 0 and not deserted(generation, redis.call('HGET', prefix .. 'redis', 'comets'), now, lease) then return {'young'} end

-- A comet that has not renewed its lease, or lost data, may have rooms that it could not tell of; so may one whose rooms do not have
-- the mark that they were all written under this generation.
local told, n_told = {'ok', generation}, 0
local mark = '#' .. generation
for i = 1, #servers do
	local server = servers[i]
	local state = redis.call('HMGET', prefix .. 'server:' .. server, 'updated', 'registering', 'epoch')
	local concerned = state[1]
	if not concerned and to == '' then return {'young'} end -- its lease has vanished
	if room ~= '' and state[2] ~= '1' and stands(concerned, now, lease) then
		local rooms = redis.call('HMGET', prefix .. 'rooms:' .. server, room, '')
		concerned = rooms[1] or rooms[2] ~= mark
	end
	if concerned then
		n_told = n_told + 3
		told[n_told] = server
		told[n_told + 1] = state[3] or '0'
	end
end
-- The comet of these keys is gone, and perhaps they came back on another comet.
if n_told == 0 and n_keys ~= '0' then return {'moved'} end

local first = 8 + n_keys
-- A word to a comet: so many entries its stream had had, as the writer knows. It goes along where that stood when the generation began.
if ARGV[first + 1] == 'lost' then
	local epoch, is_epoch = tonumber(ARGV[first + 5]), tonumber(told[4] or 0)
	-- The data are of before this comet was started, and it has not renewed its lease yet.
	if is_epoch < epoch and (is_epoch > 0 or not deserted(generation, '0', now, lease)) then return {'young'} end
	if is_epoch ~= epoch then return {'ok', generation} end -- the comet is another by now
	ARGV[#ARGV + 1] = 'base'
	ARGV[#ARGV + 1] = redis.call('HGET', prefix .. 'server:' .. to, 'base') or '0'
	ARGV[#ARGV + 1] = 'generation'
	ARGV[#ARGV + 1] = generation
end
-- First of all, so that either all of it is written or, where Redis refuses to measure, nothing.
if bytes ~= '' then
	for i = 3, n_told, 3 do trim_stream(prefix .. 'push:' .. told[i], bytes, first) end
end
for i = 3, n_told, 3 do
	local n = redis.call('HINCRBY', prefix .. 'server:' .. told[i], 'sent', 1)
	redis.call('XADD', prefix .. 'push:' .. told[i], 'MAXLEN', '~', length, '*', 'n', n, unpack(ARGV, first))
	told[i + 2] = tostring(n)
end
return told
