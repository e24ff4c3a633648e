-- Pushes to users that were to be confirmed by now: tell those that no device has confirmed. Called by a logic, again as long as some are left.
-- events, how many may wait, how many at most -> are some left (1), or not (0)
local events, may_wait, most = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local awaited = prefix .. 'awaited'

local function is_confirmed(user, n)
	local acks = redis.call('HGETALL', prefix .. 'ack:u:{' .. user .. '}')
	for i = 2, #acks, 2 do
		if tonumber(acks[i]) >= tonumber(n) then return true end
	end
	return false
end

local now = time()
local due = redis.call('ZRANGE', awaited, '-inf', whole(now), 'BYSCORE', 'LIMIT', 0, most)
-- Too many: those that are due next are told too early, rather than never.
local above = math.min(redis.call('ZCOUNT', awaited, '-inf', '+inf') - may_wait, most)
if above > #due then due = redis.call('ZRANGE', awaited, 0, above - 1) end
for i = 1, #due do
	local n, user = string.match(due[i], '^(%d+) (.*)$')
	redis.call('ZREM', awaited, due[i])
	if not is_confirmed(user, n) then tell(events, 'unacked', 'user', user, 'n', n) end
end
return #due == most and 1 or 0
