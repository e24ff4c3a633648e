-- The comets that clients may be sent to: those whose lease stands and that are not leaving. Called by a comet.
-- server to leave out, lease -> for each: address (the first of several), weight, connections, region
local now = time()
local all = {}
for _, server in ipairs(redis.call('SMEMBERS', prefix .. 'servers')) do
	local addrs, weight, connections, updated, leaving, region = unpack(redis.call('HMGET', prefix .. 'server:' .. server,
		'addrs', 'weight', 'connections', 'updated', 'leaving', 'region'))
	local address = addrs and string.match(addrs, '[^, ]+')
	if server ~= ARGV[1] and address and stands(updated, now, ARGV[2]) and leaving ~= '1' then
		all[#all + 1] = {address, weight or '1', connections or '0', region or ''}
	end
end
return all
