-- Drop the bans that are over by now; few at a time, since they come one after another.
local function drop_old_bans(now)
	for _, field in ipairs(redis.call('ZRANGEBYSCORE', prefix .. 'bans:end', '-inf', now, 'LIMIT', 0, 100)) do
		redis.call('HDEL', prefix .. 'bans', field)
		redis.call('ZREM', prefix .. 'bans:came', field)
		redis.call('ZREM', prefix .. 'bans:end', field)
	end
end
