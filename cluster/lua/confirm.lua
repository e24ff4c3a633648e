-- A device has confirmed a position in its user's stream. Called by a comet.
-- user, ttl, key, position -> 1: it is known; 0: it was already, or is the lowest of too many
local acks = prefix .. 'ack:u:{' .. ARGV[1] .. '}'
local at = tonumber(ARGV[4])
local before = redis.call('HGET', acks, ARGV[3])
if before and tonumber(before) >= at then return 0 end
if not before and redis.call('HLEN', acks) >= 16 then
	local all, lowest = redis.call('HGETALL', acks), 2
	for i = 4, #all, 2 do
		if tonumber(all[i]) < tonumber(all[lowest]) then lowest = i end
	end
	if tonumber(all[lowest]) >= at then return 0 end
	redis.call('HDEL', acks, all[lowest - 1])
end
redis.call('HSET', acks, ARGV[3], ARGV[4])
redis.call('PEXPIRE', acks, ARGV[2])
return 1
