-- The comets whose lease stands. Called by logic.
-- lease -> for each: id, then fields and values of its lease
local now = time()
local all = {}
for _, server in ipairs(redis.call('SMEMBERS', prefix .. 'servers')) do
	local lease = redis.call('HGETALL', prefix .. 'server:' .. server)
	if stands(redis.call('HGET', prefix .. 'server:' .. server, 'updated'), now, ARGV[1]) then
		table.insert(lease, 1, server)
		all[#all + 1] = lease
	end
end
return all
