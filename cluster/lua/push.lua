-- Write a push into the stream of each comet that it concerns. Called by logic.
-- length of a stream, its bytes, lease, generation that the caller knows, server or '', room or '', n, n keys, fields and values
--   -> 'young': Redis lost data a moment ago | 'moved': look again where the keys are; nothing was written
--    | 'ok', generation, then of each comet: server, epoch, number of the entry
local length, bytes, lease, known, to, room, n_keys = unpack(ARGV, 1, 7)
local now = time()
local generation = generation_of(now)
if young(generation, known, now, lease) then return {'young'} end
-- Since the caller looked where they are, any of them may have gone to another comet.
for i = 8, 7 + n_keys do
	local id, _, epoch, server = session(ARGV[i])
	if id and server ~= to and valid(epoch, server) then return {'moved'} end
end
local fields = {}
for i = 8 + n_keys, #ARGV do fields[#fields + 1] = ARGV[i] end
local servers = to ~= '' and {to} or comets()
if not servers then return {'young'} end
local mark = '#' .. generation
local epochs, vanished = {}, false

-- A comet that has not renewed its lease, or lost data, may have rooms that it could not tell of; so may one whose rooms do not have
-- the mark that they were all written under this generation.
local function concerns(server)
	local updated, registering, epoch =
		unpack(redis.call('HMGET', prefix .. 'server:' .. server, 'updated', 'registering', 'epoch'))
	epochs[server] = epoch or '0'
	if not updated then
		vanished = to == ''
		return false
	end
	if room == '' or registering == '1' or not stands(updated, now, lease) then return true end
	local people, marked = unpack(redis.call('HMGET', prefix .. 'rooms:' .. server, room, ''))
	return people or marked ~= mark
end

local chosen = {}
for _, server in ipairs(servers) do
	if concerns(server) then chosen[#chosen + 1] = server end
end
if vanished then return {'young'} end
-- The comet of these keys is gone, and perhaps they came back on another comet.
if #chosen == 0 and tonumber(n_keys) > 0 then return {'moved'} end

-- A word for a comet that is another by now.
if fields[2] == 'lost' and fields[6] ~= epochs[to] then return {'ok', generation} end

-- The stream is measured again after about a MiB at most.
local long = 0
for _, field in ipairs(fields) do long = long + #field end
local each = long > 131072 and 1 or long > 16384 and 8 or 64

local told = {}
for _, server in ipairs(chosen) do
	local key = prefix .. 'server:' .. server
	local n = redis.call('HINCRBY', key, 'sent', 1)
	-- So many entries this stream had had, as the writer knows; this is where it stood when the generation began.
	if fields[2] == 'lost' then
		for _, word in ipairs({'base', redis.call('HGET', key, 'base') or '0', 'generation', generation}) do
			fields[#fields + 1] = word
		end
	end
	redis.call('XADD', prefix .. 'push:' .. server, 'MAXLEN', '~', length, '*', 'n', n, unpack(fields))
	if n % each == 0 then trim_stream(prefix .. 'push:' .. server, bytes) end
	told[#told + 1] = server
	told[#told + 1] = epochs[server]
	told[#told + 1] = tostring(n)
end
return {'ok', generation, unpack(told)}
