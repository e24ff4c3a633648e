-- Note a comet's load. Only into a lease that is there: a hash with a load alone would look like a lease. Called by a comet.
-- server, connections, addresses, delivered, dropped -> 1: noted, 0: no lease
local key = prefix .. 'server:' .. ARGV[1]
if redis.call('EXISTS', key) == 0 then return 0 end
redis.call('HSET', key, 'connections', ARGV[2], 'addresses', ARGV[3], 'delivered', ARGV[4], 'dropped', ARGV[5])
return 1
