-- Write a push into the stream of each comet that it concerns: to one server or, where that is '', to all that may have the room, or to all.
-- ARGV begins with the length of a stream, its bytes or '' (not to be measured now), the lease, and the generation that the caller knows; from
-- `first` on stand n keys, then fields and values. `number`, or nil, is called where the push is certain to be written: its number, and is
-- it the first time. The answer is that of push.lua, with the number as its third word where there is one.
local function fan_out(to, room, first, n_keys, number)
	local length, bytes, lease, known = unpack(ARGV, 1, 4)
	local now, _, seconds = time()
	local generation = redis.call('GET', prefix .. 'generation')
	if not generation then return {'young'} end
	if young(generation, known, now, lease) then
		-- Others may be away, but not a comet that has renewed its lease since, and a kick is for one. What says `lost` is of how things were.
		local is_kick = to ~= '' and tonumber(n_keys) == 0 and ARGV[first + 1] ~= 'lost'
		local updated = is_kick and redis.call('HGET', prefix .. 'server:' .. to, 'updated')
		if not updated or tonumber(updated) < tonumber(generation) then return {'young'} end
	end
	-- Since the caller looked where they are, any of them may have gone to another comet.
	for i = first, first + n_keys - 1 do
		local id, _, epoch, server = session(ARGV[i])
		if id and server ~= to and valid(epoch, server) then return {'moved'} end
	end
	local servers = to ~= '' and {to} or redis.call('SMEMBERS', prefix .. 'servers')
	if #servers == 0 and not deserted(generation, redis.call('HGET', prefix .. 'redis', 'comets'), now, lease) then return {'young'} end

	-- A comet that has not renewed its lease, or lost data, may have rooms that it could not tell of; so may one whose rooms do not have
	-- the mark that they were all written under this generation.
	local told, begin = {'ok', generation}, 3
	if number then told[3], begin = '', 4 end
	local n_told = begin - 3
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
	if n_told < begin and tonumber(n_keys) > 0 then return {'moved'} end

	first = first + n_keys
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
		for i = begin, n_told, 3 do trim_stream(prefix .. 'push:' .. told[i], bytes, first) end
	end
	if number then
		local pos, is_first = number(room, generation, first, seconds)
		if not is_first then return {'again', generation, pos} end
		told[3] = pos
		if pos ~= '' then
			-- In the place of two arguments that were for the script itself.
			first = first - 2
			ARGV[first], ARGV[first + 1] = 'pos', pos
		end
	end
	for i = begin, n_told, 3 do
		local n = tostring(redis.call('HINCRBY', prefix .. 'server:' .. told[i], 'sent', 1)) -- once: it is dear
		redis.call('XADD', prefix .. 'push:' .. told[i], 'MAXLEN', '~', length, '*', 'n', n, unpack(ARGV, first))
		told[i + 2] = n
	end
	return told
end

