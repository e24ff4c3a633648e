-- Definitions that fewer scripts need; they stand between prelude.lua and those that do.

-- An id above all before it, and above that of the one before (`was`, or nil). Where Redis has lost the last one, they begin a minute beyond
-- the clock, as far as a new generation leads them. Microseconds, so that ids grow even after Redis lost its data; below 2^53 until the
-- year 2255, so that doubles, which Lua and JavaScript have, hold them.
local function new_id(micros, was)
	local last = redis.call('GET', prefix .. 'ids') or micros + 60000000
	local id = whole(math.max(micros, last + 1, (was or 0) + 1))
	redis.call('SET', prefix .. 'ids', id)
	return id
end

-- This id was given before Redis lost it: the next one is above.
local function was_given(id)
	if tonumber(id) > tonumber(redis.call('GET', prefix .. 'ids') or '0') then redis.call('SET', prefix .. 'ids', id) end
end

-- The key's session from now on; was_user is the one who had the key before, or nil. A user is one word: a number, or a name that
-- begins with no '-' (common/wire/user.h). Numbers below 1 are nobody. Returns the number of what was written for this
-- comet: where Redis has it, it has all that came before. Of one that is `registering` '0', and nothing is counted: after a loss its
-- number would grow again, and reach the one by which the comet, at its next renewal, is to see that something is missing.
local function put_session(key, id, user, epoch, server, ttl, was_user, registering)
	redis.call('SET', prefix .. 'session:' .. key, id .. ' ' .. user .. ' ' .. epoch .. ' ' .. server, 'PX', ttl)
	if was_user and was_user ~= user then redis.call('SREM', prefix .. 'mid:' .. was_user, key) end
	if user ~= '0' and string.byte(user) ~= 45 then
		redis.call('SADD', prefix .. 'mid:' .. user, key)
		redis.call('PEXPIRE', prefix .. 'mid:' .. user, ttl)
	end
	if registering == '1' then return '0' end
	return tostring(redis.call('HINCRBY', prefix .. 'server:' .. server, 'written', 1))
end

-- Is a comet or a logic there whose lease stands?
local function anybody(now, ms)
	if redis.call('ZCOUNT', prefix .. 'logics', now, '+inf') > 0 then return true end
	for _, server in ipairs(redis.call('SMEMBERS', prefix .. 'servers')) do
		if stands(redis.call('HGET', prefix .. 'server:' .. server, 'updated'), now, ms) then return true end
	end
	return false
end

-- May a program that writes layout number `mine` work on the data? 'newer': they have a later layout; 'older': they have an earlier
-- one, and programs run that write it; and the data's number. 'ok': yes, and the data have the number from now on. Data without a
-- number, because an older program wrote them or because all were lost, have layout 1.
local function schema(mine, now, ms)
	local there = redis.call('GET', prefix .. 'schema')
	local number = tonumber(there or 1)
	if number > tonumber(mine) then return 'newer', there end
	if number < tonumber(mine) and anybody(now, ms) then return 'older', whole(number) end
	if there ~= mine then redis.call('SET', prefix .. 'schema', mine) end
	return 'ok', mine
end

-- What the server says of itself; false where that may not be asked.
local function server_info()
	local info = redis.pcall('INFO', 'server', 'memory', 'stats')
	return type(info) == 'string' and info
end

local function run_of(info)
	return string.match(info, 'run_id:(%x+)')
end

-- From now on these data are known to be this server's.
local function note_server(info)
	redis.call('HSET', prefix .. 'redis', 'run', run_of(info), 'evicted', string.match(info, 'evicted_keys:(%d+)'))
end

-- Sessions, rooms and names may be fewer than they were: from now on a new generation counts, and each comet says at its next renewal
-- whether all is there that it wrote (lease.lua). What is written for it is numbered, in `written` of its lease; `lost`: something
-- is certainly gone, so that none is to find its number. `from`: Redis's time, where comets themselves may be missing until each has
-- renewed its lease; 0 where all are there. `base` is where the comet's stream stood: who pushed more has lost some. A comet that
-- has none is an older program, which does not know the question. A generation is above the one before; where the clock is not, by a dice:
-- these data may be lost again, and the one that follows then is to be another. So are ids, which go a minute ahead of the clock, and no
-- further where they need not: those that were lost may be another clock's, and whoever has one came before those who come.
local function begin_generation(from, lost)
	local was, _, micros = tonumber(redis.call('GET', prefix .. 'generation') or '0'), time()
	local generation = whole(from > was and from or was + 1 + micros % 1000)
	local info = server_info()
	redis.call('SET', prefix .. 'generation', generation)
	-- All connections may have arrived before this was lost, too, and the next one may find these data on another server.
	if info then note_server(info) end
	local id, led = tonumber(redis.call('GET', prefix .. 'ids') or '0'), micros + 60000000
	redis.call('SET', prefix .. 'ids', whole(led > id and led or id + 1 + micros % 1000000))
	for _, server in ipairs(redis.call('SMEMBERS', prefix .. 'servers')) do
		local key = prefix .. 'server:' .. server
		local base, sent, written = unpack(redis.call('HMGET', key, 'base', 'sent', 'written'))
		if base then
			redis.call('HSET', key, 'registering', 1, 'base', sent or 0, 'written', lost and 0 or written or 0)
		end
	end
	return generation
end

-- The generation of the data. Where it is gone, all may be.
local function generation_of(now)
	return redis.call('GET', prefix .. 'generation') or begin_generation(now, false)
end

-- So many keys has Redis evicted since it was asked last, or nil where it does not say.
local function evicted()
	local info = redis.pcall('INFO', 'stats')
	local count = type(info) == 'string' and string.match(info, 'evicted_keys:(%d+)')
	if not count then return nil end
	local was = redis.call('HGET', prefix .. 'redis', 'evicted') or '0'
	if count ~= was then redis.call('HSET', prefix .. 'redis', 'evicted', count) end
	return tonumber(count) - tonumber(was)
end

-- How many comets there are is noted beside their names: the set of them could vanish as a whole.
local function count_comets()
	redis.call('HSET', prefix .. 'redis', 'comets', redis.call('SCARD', prefix .. 'servers'))
end

-- Remove all keys of a comet but its sessions, which are void without the lease; their ends, and which rooms are empty now, are still to be told (bury.lua) where
-- somebody wants events. 1: it had a name.
local function remove_comet(server)
	local epoch = redis.call('HGET', prefix .. 'server:' .. server, 'epoch')
	if redis.call('EXISTS', prefix .. 'occupied') == 1 then redis.call('SET', prefix .. 'vacating', '0') end
	if epoch and redis.call('EXISTS', prefix .. 'there:' .. epoch) == 1 then
		redis.call('SADD', prefix .. 'gone', epoch .. ' ' .. server)
	end
	redis.call('DEL', prefix .. 'server:' .. server, prefix .. 'rooms:' .. server, prefix .. 'push:' .. server)
	local had_name = redis.call('SREM', prefix .. 'servers', server)
	count_comets()
	return had_name
end

-- The name of this set of data: what its first logic proposed. By it two clusters are told apart whose programs have one name.
local function cluster(proposal)
	redis.call('SET', prefix .. 'cluster', proposal, 'NX')
	return redis.call('GET', prefix .. 'cluster')
end
