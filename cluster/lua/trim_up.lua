-- Packets for back ends, within so many bytes of Redis's memory: the oldest go, an eighth at a time. Called by a logic.
-- bytes -> how many went
local up = prefix .. 'up'
local gone = 0
while true do
	local entries = redis.call('XLEN', up)
	if entries <= 1 or redis.call('MEMORY', 'USAGE', up, 'SAMPLES', '0') <= tonumber(ARGV[1]) then return gone end
	gone = gone + redis.call('XTRIM', up, 'MAXLEN', whole(entries - math.ceil(entries / 8)))
end
