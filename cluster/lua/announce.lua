-- A logic is up for another `lease`. Those long over are removed. Called by logic.
-- instance, lease -> Redis's time in ms
local now = time()
redis.call('ZADD', 'comet:logics', now + ARGV[2], ARGV[1])
redis.call('ZREMRANGEBYSCORE', 'comet:logics', '-inf', now - 60000)
return now
