-- All comets, and when each was last heard of; 0 and 0 where the lease has vanished. Called by logic, to find dead ones. The first
-- line writes something: while Redis takes no words of ours it takes none of a comet's, and nobody may be buried for that.
-- -> server, epoch and updated of each
redis.call('SET', prefix .. 'looked', whole(time()))
local all = {}
for _, server in ipairs(redis.call('SMEMBERS', prefix .. 'servers')) do
	local epoch, updated = unpack(redis.call('HMGET', prefix .. 'server:' .. server, 'epoch', 'updated'))
	all[#all + 1] = server
	all[#all + 1] = epoch or '0'
	all[#all + 1] = updated or '0'
end
return all
