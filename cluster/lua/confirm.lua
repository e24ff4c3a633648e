-- Devices have confirmed positions in their users' streams. Called by a comet.
-- ttl, then of each: user, key, position -> how many were news; those of too many devices that are the lowest are none
local news = 0

local function confirm(user, key, position)
	local acks = prefix .. 'ack:u:{' .. user .. '}'
	local at = tonumber(position)
	local before = redis.call('HGET', acks, key)
	if before and tonumber(before) >= at then return end
	if not before and redis.call('HLEN', acks) >= 16 then
		local all, lowest = redis.call('HGETALL', acks), 2
		for i = 4, #all, 2 do
			if tonumber(all[i]) < tonumber(all[lowest]) then lowest = i end
		end
		if tonumber(all[lowest]) >= at then return end
		redis.call('HDEL', acks, all[lowest - 1])
	end
	redis.call('HSET', acks, key, position)
	redis.call('PEXPIRE', acks, ARGV[1])
	news = news + 1
end

for i = 2, #ARGV, 3 do confirm(unpack(ARGV, i, i + 2)) end
return news
