-- Where these keys are, or all keys of these users. Called by logic.
-- generation that the caller knows, lease, 'keys' | 'mids', each key or mid
--   -> 'unsure' | 'ok', generation (the new one once all comets have said that they are all there), key, server and id of each
local known, lease, by = unpack(ARGV, 1, 3)
local now = time()
local generation = generation_of(now)
local found = {'ok', generation}
local missing = false

-- A lease that is gone while its comet has a name has vanished, or was never there: either way nobody knows.
local function vanished(epoch, server)
	return epoch ~= '0' and redis.call('EXISTS', prefix .. 'server:' .. server) == 0
		and redis.call('SISMEMBER', prefix .. 'servers', server) == 1
end

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
	elseif vanished(epoch, server) then
		missing = true
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

-- Where Redis evicts keys: has it since a comet asked last?
local function evicts()
	local policy = redis.call('HGET', prefix .. 'redis', 'policy')
	if not policy or policy == 'noeviction' or (evicted() or 0) == 0 then return false end
	begin_generation(0, true)
	return true
end

-- "Nobody" would be a lie while a comet registers its connections again, or should: it has not said that they are there, or no lease
-- stands, since the clock has jumped.
local function sure()
	local all = comets()
	if not all or young(generation, known, now, lease) or evicts() then return false end
	local one_stands = #all == 0
	for _, server in ipairs(all) do
		local registering, updated = unpack(redis.call('HMGET', prefix .. 'server:' .. server, 'registering', 'updated'))
		if registering == '1' or not updated then return false end
		one_stands = one_stands or stands(updated, now, lease)
	end
	return one_stands
end

for i = 4, #ARGV do
	if by == 'mids' then look_for_user(ARGV[i]) else look(ARGV[i]) end
end
if missing or known ~= generation then
	-- Of a user's connections some may be there and others not.
	if sure() then return found end
	if missing or by == 'mids' then return {'unsure'} end
	found[2] = known
end
return found
