-- Write a push into the stream of each comet that it concerns. Called by logic.
-- length of a stream, lease, generation that the caller knows, server or '', room or '', n, n keys, fields and values
--   -> 'young': Redis lost its data a moment ago | 'moved': look again where the keys are; nothing was written
--    | 'ok', generation, then of each comet: server, epoch, number of the entry
local length, lease, known, to, room, n_keys = unpack(ARGV, 1, 6)
local now = time()
local generation = generation_of(now)
if young(generation, known, now, lease) then return {'young'} end
-- Since the caller looked where they are, any of them may have gone to another comet.
for i = 7, 6 + n_keys do
	local id, _, epoch, server = session(ARGV[i])
	if id and server ~= to and valid(epoch, server) then return {'moved'} end
end
local fields = {}
for i = 7 + n_keys, #ARGV do fields[#fields + 1] = ARGV[i] end
local servers = to ~= '' and {to} or redis.call('SMEMBERS', prefix .. 'servers')
local epoch

-- A comet that has not renewed its lease, or lost its data, may have rooms that it could not tell of.
local function concerns(server)
	local updated, registering
	updated, registering, epoch =
		unpack(redis.call('HMGET', prefix .. 'server:' .. server, 'updated', 'registering', 'epoch'))
	if not updated then return false end
	return room == '' or not stands(updated, now, lease) or registering == '1'
		or redis.call('HEXISTS', prefix .. 'rooms:' .. server, room) == 1
end

local told = {}
for _, server in ipairs(servers) do
	if concerns(server) then
		local n = redis.call('HINCRBY', prefix .. 'server:' .. server, 'sent', 1)
		redis.call('XADD', prefix .. 'push:' .. server, 'MAXLEN', '~', length, '*', 'n', n, unpack(fields))
		told[#told + 1] = server
		told[#told + 1] = epoch or '0'
		told[#told + 1] = tostring(n)
	end
end
-- The comet of these keys is gone, and perhaps they came back on another comet.
if #told == 0 and tonumber(n_keys) > 0 then return {'moved'} end
return {'ok', generation, unpack(told)}
