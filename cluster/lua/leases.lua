-- All comets, and when each was last heard of. Names without a lease are dropped. Called by logic, to find dead ones.
-- -> server, epoch and updated of each
local all = {}
for _, server in ipairs(redis.call('SMEMBERS', prefix .. 'servers')) do
	local epoch, updated = unpack(redis.call('HMGET', prefix .. 'server:' .. server, 'epoch', 'updated'))
	if epoch then
		all[#all + 1] = server
		all[#all + 1] = epoch
		all[#all + 1] = updated or '0'
	else
		redis.call('SREM', prefix .. 'servers', server)
	end
end
return all
