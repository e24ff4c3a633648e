-- Where these keys are, or all keys of these users. Called by logic.
-- generation that the caller knows, lease, 'keys' | 'mids', each key or mid -> 'unsure' | 'ok', generation, key, server and id of each
local known, lease, by = unpack(ARGV, 1, 3)
local now = time()
local generation = generation_of(now)
local found = {'ok', generation}
local missing = false

-- False: this key is no longer the user's.
local function look(key, mid)
	local id, its_mid, epoch, server = session(key)
	if not id then
		missing = true
		return false
	end
	if mid and its_mid ~= mid then return false end
	if valid(epoch, server) then
		found[#found + 1] = key
		found[#found + 1] = server
		found[#found + 1] = id
	end
	return epoch ~= '0'
end

local function look_for_user(mid)
	local keys = redis.call('SMEMBERS', prefix .. 'mid:' .. mid)
	if #keys == 0 then missing = true end
	for _, key in ipairs(keys) do
		if not look(key, mid) then redis.call('SREM', prefix .. 'mid:' .. mid, key) end
	end
end

-- Where nothing is found while a comet registers its connections again, or should, "nobody" would be a lie.
local function sure()
	if not missing then return true end
	if young(generation, known, now, lease) then return false end
	for _, server in ipairs(redis.call('SMEMBERS', prefix .. 'servers')) do
		if redis.call('HGET', prefix .. 'server:' .. server, 'registering') == '1' then return false end
	end
	return true
end

for i = 4, #ARGV do
	if by == 'mids' then look_for_user(ARGV[i]) else look(ARGV[i]) end
end
if not sure() then return {'unsure'} end
return found
