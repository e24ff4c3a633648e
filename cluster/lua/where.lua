-- Definitions of the scripts that look where keys are; they stand between prelude.lua and those.

-- "Nobody" would be a lie while comets register connections again, or should.
local function sure(generation, known, lease)
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

-- The generation, and the epochs of comets' leases: none of them changes while a script looks for many, so each is asked for once.
local generation_now
local epochs = {}

local function epoch_of(server)
	local epoch = epochs[server]
	if epoch == nil then
		epoch = redis.call('HGET', prefix .. 'server:' .. server, 'epoch')
		epochs[server] = epoch
	end
	return epoch
end

-- Each of ARGV from `first` on up to `last` is a key, or a user with all of his keys (`by` 'keys' or 'users'). found(key, server, id,
-- epoch, of) is called for each that is there; it was found by the name number `of`. False: it is not sure that there are no others, or that they are there. Else the generation.
local function look_for(known, lease, by, first, last, found)
	local generation = generation_now or redis.call('GET', prefix .. 'generation')
	local missing, vanished = false, false
	generation_now = generation

	-- False: this key is no longer the user's.
	local function look(key, user, of)
		local id, its_user, epoch, server = session(key)
		if not id then
			missing = true
			return false
		end
		if user and its_user ~= user then return false end
		local is_epoch = epoch_of(server)
		if is_epoch == epoch then
			found(key, server, id, epoch, of)
		elseif not is_epoch and epoch ~= '0' and redis.call('SISMEMBER', prefix .. 'servers', server) == 1 then
			vanished = true -- its comet's lease
		end
		return epoch ~= '0'
	end

	for i = first, last do
		local one = ARGV[i]
		if by == 'users' then
			local keys = redis.call('SMEMBERS', prefix .. 'mid:' .. one)
			missing = missing or #keys == 0
			for k = 1, #keys do
				if not look(keys[k], one, i - first + 1) then redis.call('SREM', prefix .. 'mid:' .. one, keys[k]) end
			end
		else
			look(one, nil, i - first + 1)
		end
	end
	-- After a loss a key may be found where it was once, and has moved since; of a user's connections some may be there and others not.
	return not vanished and (not missing and known == generation or sure(generation, known, lease)) and generation
end

