-- The numbers of rooms that have members live on. Called by a comet.
-- ttl and idle ttl of a number, rooms -> how many have a number
local there = 0
for i = 3, #ARGV do
	local number_key = stream_key('n', ARGV[i])
	local value = redis.call('GET', number_key)
	if value then
		redis.call('PEXPIRE', number_key, string.find(value, ' idle', 1, true) and ARGV[2] or longer(ARGV[1]))
		keep_acks(ARGV[i], longer(ARGV[1]))
		there = there + 1
	end
end
return there
