-- Are these data where they were? The first words of a connection through which things are written, before all others: a server that
-- was started again may have older data, and so may a replica that became the master. Called by both.
-- -> 'ok' | 'cluster': a Redis Cluster, where no script can run; then maxmemory-policy, '' where Redis does not say
local info = server_info()
if not info then return {'ok', ''} end
if string.find(info, 'redis_mode:cluster', 1, true) then return {'cluster', ''} end
local run, policy = run_of(info), string.match(info, 'maxmemory_policy:([%w-]+)')
local was_run, was_policy = unpack(redis.call('HMGET', prefix .. 'redis', 'run', 'policy'))
if was_run and was_run ~= run then
	begin_generation(time(), false)
elseif not was_run then
	note_server(info)
end
if was_policy ~= policy then redis.call('HSET', prefix .. 'redis', 'policy', policy) end
return {'ok', policy}
