-- The logics, and until when each counts as up. Called by a comet.
-- -> Redis's time in ms, then name and time of each
local all = redis.call('ZRANGE', prefix .. 'logics', 0, -1, 'WITHSCORES')
table.insert(all, 1, whole(time()))
return all
