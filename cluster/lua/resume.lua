-- What a room's stream has above a position. Called by a comet whose clients join, and by logic.
-- room, position or '', how many of the newest where that is none or a gap, ttl and idle ttl of a number, durable (0 or 1), may a number be made (0 or 1)
--   -> 'young': Redis lost data a moment ago | 'none': there is no number, and none may be made
--    | 'ok', 'gap': something is missing before, or 'made'; the number; what was pushed up to it, "<op> <number> <body>" each
local room, since, last, ttl, idle_ttl, durable, make = unpack(ARGV)
local generation = redis.call('GET', prefix .. 'generation')
if not generation then return {'young'} end
local number_key, history_key = stream_key('n', room), stream_key('h', room)
local n, due, _, is_made = place(number_key, history_key, generation, idle_ttl .. ' ' .. durable, make == '1')
if not n then return {'none'} end
redis.call('PEXPIRE', number_key, due == 'idle' and idle_ttl or longer(ttl))
keep_acks(room, longer(ttl))
local have = redis.call('LLEN', history_key)
local word, k = is_made and 'made' or 'ok', math.min(tonumber(last), have)
if since ~= '' then
	local missed = n - tonumber(since)
	if missed >= 0 and missed <= have then k = missed else word = 'gap' end
end
local pushed = k > 0 and redis.call('LRANGE', history_key, -k, -1) or {}
table.insert(pushed, 1, word)
table.insert(pushed, 2, n)
return pushed
