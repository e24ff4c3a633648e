-- Every script begins with these lines: one definition each of the terms that several of them need. cluster/schema.md describes the
-- keys. A script is atomic: nothing can happen between a decision and its effect.

-- All names of keys begin with this: redis.prefix and a colon. It is the one key that a script is given: the other names stand in
-- the data, in a session or in the set of comets, and no caller can know them.
local prefix = KEYS[1]

-- Redis's time in milliseconds, and in microseconds.
local function time()
	local t = redis.call('TIME')
	return t[1] * 1000 + math.floor(t[2] / 1000), t[1] * 1000000 + t[2]
end

-- A whole number as a text; tostring would round it.
local function whole(number)
	return string.format('%.0f', number)
end

-- An id above all before it. Microseconds, so that ids grow even after Redis lost its data; below 2^53 until the year 2255, so
-- that doubles, which Lua and JavaScript have, hold them.
local function new_id(micros)
	local id = whole(math.max(micros, tonumber(redis.call('GET', prefix .. 'ids') or '0') + 1))
	redis.call('SET', prefix .. 'ids', id)
	return id
end

-- Does the lease stand that was last renewed at this time? `ms` is redis.lease. A time that is still to come is a clock's that was put
-- back since.
local function stands(updated, now, ms)
	return updated and math.abs(now - tonumber(updated)) <= tonumber(ms)
end

-- Id, mid, epoch and server of the session that has this key, or nil.
local function session(key)
	local v = redis.call('GET', prefix .. 'session:' .. key)
	if not v then return nil end
	return string.match(v, '^(%d+) (%-?%d+) (%d+) (.*)$')
end

-- A session counts only under the lease that it was made under.
local function valid(epoch, server)
	return epoch and redis.call('HGET', prefix .. 'server:' .. server, 'epoch') == epoch
end

-- The key's session from now on; was_mid is the user who had the key before, or nil. Returns the number of what was written for this
-- comet: where Redis has it, it has all that came before.
local function put_session(key, id, mid, epoch, server, ttl, was_mid)
	redis.call('SET', prefix .. 'session:' .. key, id .. ' ' .. mid .. ' ' .. epoch .. ' ' .. server, 'PX', ttl)
	if was_mid and was_mid ~= mid then redis.call('SREM', prefix .. 'mid:' .. was_mid, key) end
	if tonumber(mid) > 0 then
		redis.call('SADD', prefix .. 'mid:' .. mid, key)
		redis.call('PEXPIRE', prefix .. 'mid:' .. mid, ttl)
	end
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

-- Sessions, rooms and names may be fewer than they were: from now on a new generation counts, and each comet says at its next renewal
-- whether all is there that it wrote (lease.lua). What is written for it is numbered, in `written` of its lease; `lost`: something
-- is certainly gone, so that none is to find its number. `from`: Redis's time, where comets themselves may be missing until each has
-- renewed its lease; 0 where all are there. `base` is where the comet's stream stood: who pushed more has lost some. A comet that
-- has none is an older program, which does not know the question.
local function begin_generation(from, lost)
	local generation = whole(math.max(from, tonumber(redis.call('GET', prefix .. 'generation') or '0') + 1))
	redis.call('SET', prefix .. 'generation', generation)
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

-- Did this generation, and not the one that the caller knew last ('' for none), begin so lately that comets may not have renewed
-- their leases? A clock that was put back does not make it young for long.
local function young(generation, known, now, ms)
	return known ~= '' and known ~= generation and math.abs(now - tonumber(generation)) < tonumber(ms)
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

-- The names of all comets; nil: they have vanished.
local function comets()
	local all = redis.call('SMEMBERS', prefix .. 'servers')
	if #all == 0 and tonumber(redis.call('HGET', prefix .. 'redis', 'comets') or '0') > 0 then return nil end
	return all
end

-- Remove all keys of a comet but its sessions, which are void without the lease. 1: it had a name.
local function remove_comet(server)
	redis.call('DEL', prefix .. 'server:' .. server, prefix .. 'rooms:' .. server, prefix .. 'push:' .. server)
	local had_name = redis.call('SREM', prefix .. 'servers', server)
	count_comets()
	return had_name
end

-- Keep a stream within so many bytes of Redis's memory: the oldest entries go, an eighth at a time. How many went.
local function trim_stream(key, bytes)
	local gone = 0
	while true do
		local entries = redis.call('XLEN', key)
		if entries <= 1 or redis.call('MEMORY', 'USAGE', key, 'SAMPLES', '0') <= tonumber(bytes) then return gone end
		gone = gone + redis.call('XTRIM', key, 'MAXLEN', whole(entries - math.ceil(entries / 8)))
	end
end
