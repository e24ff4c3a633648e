-- Where these keys are, or all keys of these users. Called by logic.
-- generation that the caller knows, lease, 'keys' | 'users', each key or user
--   -> 'unsure' | 'ok', generation (the new one once all comets have said that they are all there), key, server and id of each,
--   and by which of the names it was found: 1 is the first
local known, lease, by = unpack(ARGV, 1, 3)
local generation = redis.call('GET', prefix .. 'generation')
local found = {'ok', generation}
local missing, vanished = false, false

-- False: this key is no longer the user's.
local function look(key, user, of)
	local id, its_user, epoch, server = session(key)
	if not id then
		missing = true
		return false
	end
	if user and its_user ~= user then return false end
	local is_epoch = redis.call('HGET', prefix .. 'server:' .. server, 'epoch')
	if is_epoch == epoch then
		found[#found + 1] = key
		found[#found + 1] = server
		found[#found + 1] = id
		found[#found + 1] = tostring(of)
	elseif not is_epoch and epoch ~= '0' and redis.call('SISMEMBER', prefix .. 'servers', server) == 1 then
		vanished = true -- its comet's lease
	end
	return epoch ~= '0'
end

-- "Nobody" would be a lie while comets register connections again, or should.
local function sure()
	local now = time()
	if not generation or young(generation, known, now, lease) then return false end
	local policy, evicted, comets = unpack(redis.call('HMGET', prefix .. 'redis', 'policy', 'evicted', 'comets'))
	-- Keys were evicted since a comet has looked, which it does at each renewal.
	if policy and policy ~= 'noeviction' then
		local info = redis.pcall('INFO', 'stats')
		if type(info) == 'string' and string.match(info, 'evicted_keys:(%d+)') ~= evicted then return false end
	end
	local all = redis.call('SMEMBERS', prefix .. 'servers')
	if #all == 0 then return deserted(generation, comets, now, lease) end
	local one_stands = false -- all are out where the clock has jumped
	for _, server in ipairs(all) do
		local registering, updated = unpack(redis.call('HMGET', prefix .. 'server:' .. server, 'registering', 'updated'))
		if registering == '1' or not updated then return false end
		one_stands = one_stands or stands(updated, now, lease)
		-- All have said so under this generation already.
		if one_stands and known == generation then break end
	end
	return one_stands
end

for i = 4, #ARGV do
	if by == 'users' then
		local keys = redis.call('SMEMBERS', prefix .. 'mid:' .. ARGV[i])
		missing = missing or #keys == 0
		for _, key in ipairs(keys) do
			if not look(key, ARGV[i], i - 3) then redis.call('SREM', prefix .. 'mid:' .. ARGV[i], key) end
		end
	else
		look(ARGV[i], nil, i - 3)
	end
end
if vanished then return {'unsure'} end
-- After a loss a key may be found where it was once, and has moved since; of a user's connections some may be there and others not.
if (missing or known ~= generation) and not sure() then return {'unsure'} end
return found
