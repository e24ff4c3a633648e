-- A logic is up for another `lease`. Those long over are removed. Called by logic.
-- instance, lease, layout, name of the data, which a loss may have taken -> 'ok', Redis's time in ms | 'newer' or 'older', the data's layout: see schema()
local now = time()
local word, number = schema(ARGV[3], now, ARGV[2])
if word ~= 'ok' then return {word, number} end
generation_of(now)
cluster(ARGV[4])
redis.call('ZADD', prefix .. 'logics', now + ARGV[2], ARGV[1])
redis.call('ZREMRANGEBYSCORE', prefix .. 'logics', '-inf', now - 60000)
return {'ok', whole(now)}
