-- Every script begins with these lines: one definition each of the terms that several of them need, and those whose row in script.def
-- says MORE go on with more.lua. Each definition costs Redis a tenth of a microsecond a run, so that scripts that run often do
-- without those. cluster/schema.md describes the keys. A script is atomic: nothing can happen between a decision and its effect.

-- All names of keys begin with this: redis.prefix and a colon. It is the one key that a script is given: the other names stand in
-- the data, in a session or in the set of comets, and no caller can know them.
local prefix = KEYS[1]

-- Redis's time in milliseconds and in microseconds, and the seconds as a text.
local function time()
	local t = redis.call('TIME')
	return t[1] * 1000 + math.floor(t[2] / 1000), t[1] * 1000000 + t[2], t[1]
end

-- A whole number as a text; tostring would round it. '%d' is the cheaper by far, but has 32 bits in some builds of Redis, which are 11
-- characters at most.
local function whole(number)
	local text = string.format('%d', number)
	return #text > 11 and text or string.format('%.0f', number)
end

-- Does the lease stand that was last renewed at this time? `ms` is redis.lease. A time that is still to come is a clock's that was put
-- back since.
local function stands(updated, now, ms)
	return updated and math.abs(now - tonumber(updated)) <= tonumber(ms)
end

-- Id, user, epoch and server of the session that has this key, or nil.
local function session(key)
	local v = redis.call('GET', prefix .. 'session:' .. key)
	if not v then return nil end
	return string.match(v, '^(%d+) ([^ ]+) (%d+) (.*)$')
end

-- A session counts only under the lease that it was made under.
local function valid(epoch, server)
	return epoch and redis.call('HGET', prefix .. 'server:' .. server, 'epoch') == epoch
end

-- Did this generation, and not the one that the caller knew last, begin so lately that comets may not have renewed their leases?
-- '' for none; with a ? behind it where the caller has heard of it, and not yet that all comets are there. A clock that was put back
-- does not make it young for long.
local function young(generation, known, now, ms)
	return known ~= '' and known ~= generation and known ~= generation .. '?' and math.abs(now - tonumber(generation)) < tonumber(ms)
end

-- Is it sure that there is no comet? Not where comets are counted whose names have vanished, and not at first: they may come back to data
-- that were lost as a whole.
local function deserted(generation, comets, now, ms)
	return (not comets or comets == '0') and math.abs(now - tonumber(generation)) >= tonumber(ms)
end
