-- The bans that came since. Called by both, again and again.
-- generation that the caller knows, number of the last one that it has, how many at most
--   -> generation, Redis's time in ms, how many there are, then of each, in the order in which they came: number, field, value
local now = time()
local known, since, most = unpack(ARGV)
local generation = generation_of(now)
drop_old_bans(now)
if known ~= generation then since = '0' end
local news = {generation, whole(now), whole(redis.call('ZCOUNT', prefix .. 'bans:end', '-inf', '+inf'))}
local came = redis.call('ZRANGE', prefix .. 'bans:came', '(' .. since, '+inf', 'BYSCORE', 'LIMIT', 0, most, 'WITHSCORES')
for i = 1, #came, 2 do
	news[#news + 1] = whole(tonumber(came[i + 1]))
	news[#news + 1] = came[i]
	news[#news + 1] = redis.call('HGET', prefix .. 'bans', came[i]) or ''
end
return news
