-- Keep a stream within so many bytes of Redis's memory, with an entry that is still to come: ARGV from `first` on, up to `last` or to
-- the end. The oldest entries go, an eighth at a time. How many went.
local function trim_stream(key, bytes, first, last)
	local gone = 0
	for i = first, last or #ARGV do bytes = bytes - #ARGV[i] end
	while true do
		local entries = redis.call('XLEN', key)
		if entries <= 1 or redis.call('MEMORY', 'USAGE', key, 'SAMPLES', '0') <= tonumber(bytes) then return gone end
		gone = gone + redis.call('XTRIM', key, 'MAXLEN', whole(entries - math.ceil(entries / 8)))
	end
end

