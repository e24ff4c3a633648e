-- With commands that Redis's user had before there were bans (docs/operations.md): an upgrade asks for no rights.
-- Drop the bans that are over by now; few at a time, since they come one after another.
local function drop_old_bans(now)
	for _, field in ipairs(redis.call('ZRANGE', prefix .. 'bans:end', '-inf', now, 'BYSCORE', 'LIMIT', 0, 100)) do
		redis.call('HDEL', prefix .. 'bans', field)
		redis.call('ZREM', prefix .. 'bans:came', field)
		redis.call('ZREM', prefix .. 'bans:end', field)
	end
end
