-- The next number for a v1 connection of this user. Called by logic.
-- mid, ttl -> number
-- The count is forgotten a while after the last connection came; numbers still in use are stepped over.
local count = prefix .. 'number:' .. ARGV[1]

-- After a loss the count may be an older one, and those who have the next numbers not be there: then it goes on at the clock, where none of them is.
-- A comet wants the number: where none has a name, their names are lost as well.
local function may_be_lost()
	local all = redis.call('SMEMBERS', prefix .. 'servers')
	if #all == 0 then return true end
	for _, server in ipairs(all) do
		if redis.call('HGET', prefix .. 'server:' .. server, 'registering') == '1' then return true end
	end
	return false
end

local n
repeat n = whole(redis.call('INCR', count))
until redis.call('EXISTS', prefix .. 'session:' .. ARGV[1] .. '_' .. n) == 0
if may_be_lost() then
	local _, micros = time()
	n = whole(math.max(micros, n))
	redis.call('SET', count, n)
end
redis.call('PEXPIRE', count, ARGV[2])
return {n}
