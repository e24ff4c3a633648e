-- Keep bans, those that are newer than what is there. Called by logic, for new ones; by both, after a loss, for those that they hold.
-- most that there may be (0: no bound), then of each: field, stamp (0: a new one), until, to be kept until, is it lifted (0 or 1), before
--   -> 'full': there would be more, nothing was written | 'ok', then of each its value, as common/wire/ban.h has it, or ''
local now, micros = time()
drop_old_bans(now)
local more = 0
for i = 2, #ARGV, 6 do more = more + (redis.call('HGET', prefix .. 'bans', ARGV[i]) and 0 or 1) end
if more > 0 and tonumber(ARGV[1]) > 0 and redis.call('ZCOUNT', prefix .. 'bans:end', '-inf', '+inf') + more > tonumber(ARGV[1]) then return {'full'} end
local values = {'ok'}
for i = 2, #ARGV, 6 do
	local field, stamp, till, keep, lifted, before = unpack(ARGV, i, i + 5)
	local there = redis.call('HGET', prefix .. 'bans', field)
	local was_stamp, was_keep = string.match(there or '0 0 0', '^(%d+) %d+ (%d+)')
	local number = new_id(micros)
	if stamp == '0' then stamp = whole(math.max(tonumber(number), tonumber(was_stamp) + 1)) end
	-- Also one that is over already, where its writer's clock is behind, ends or lifts what is there.
	keep = whole(math.max(tonumber(keep), tonumber(was_keep)))
	if tonumber(stamp) > tonumber(was_stamp) and tonumber(keep) > now then
		there = table.concat({stamp, till, keep, lifted, before}, ' ')
		redis.call('HSET', prefix .. 'bans', field, there)
		redis.call('ZADD', prefix .. 'bans:came', number, field)
		redis.call('ZADD', prefix .. 'bans:end', keep, field)
	end
	values[#values + 1] = there or ''
end
return values
