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

-- Does the lease stand that was last renewed at this time? `ms` is redis.lease.
local function stands(updated, now, ms)
	return updated and now - tonumber(updated) <= tonumber(ms)
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

-- The key's session from now on; was_mid is the user who had the key before, or nil.
local function put_session(key, id, mid, epoch, server, ttl, was_mid)
	redis.call('SET', prefix .. 'session:' .. key, id .. ' ' .. mid .. ' ' .. epoch .. ' ' .. server, 'PX', ttl)
	if was_mid and was_mid ~= mid then redis.call('SREM', prefix .. 'mid:' .. was_mid, key) end
	if tonumber(mid) > 0 then
		redis.call('SADD', prefix .. 'mid:' .. mid, key)
		redis.call('PEXPIRE', prefix .. 'mid:' .. mid, ttl)
	end
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

-- Remove all keys of a comet but its sessions, which are void without the lease. 1: it had a name.
local function remove_comet(server)
	redis.call('DEL', prefix .. 'server:' .. server, prefix .. 'rooms:' .. server, prefix .. 'push:' .. server)
	return redis.call('SREM', prefix .. 'servers', server)
end

-- When this set of data began. A new one means that Redis has lost its data.
local function generation_of(now)
	local generation = redis.call('GET', prefix .. 'generation')
	if not generation then
		generation = whole(now)
		redis.call('SET', prefix .. 'generation', generation)
	end
	return generation
end

-- Has Redis lost its data so lately that comets may not have registered again? `known` is the generation that the caller knew
-- last, '' for none.
local function young(generation, known, now, ms)
	return known ~= '' and known ~= generation and now - tonumber(generation) < tonumber(ms)
end
