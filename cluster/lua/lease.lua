-- Renew a comet's lease, or take it where nobody has it. Called by a comet.
-- server, its epoch ('' before the first), lease, fields and values -> a word, epoch of the holder, Redis's time in ms
--   kept     renewed
--   new      taken; what an earlier holder left is removed
--   taken    another has it
--   leaving  another has it, and is going away
--   fenced   it was ours, and is another's now
local server, mine, lease = unpack(ARGV, 1, 3)
local now, micros = time()
local key = 'comet:server:' .. server
local epoch, updated, leaving = unpack(redis.call('HMGET', key, 'epoch', 'updated', 'leaving'))
local fields = {'updated', whole(now)}
for i = 4, #ARGV do fields[#fields + 1] = ARGV[i] end

if epoch and epoch == mine then
	redis.call('HSET', key, unpack(fields))
	return {'kept', epoch, whole(now)}
end
if epoch and (mine ~= '' or stands(updated, now, lease)) then
	return {mine ~= '' and 'fenced' or leaving == '1' and 'leaving' or 'taken', epoch, whole(now)}
end
-- A comet that had the name and lost it with all data keeps its epoch: sessions that were saved are valid again.
local id = mine ~= '' and mine or new_id(micros)
remove_comet(server)
redis.call('HSET', key, 'epoch', id, 'sent', 0, 'registering', mine ~= '' and 1 or 0, unpack(fields))
redis.call('SADD', 'comet:servers', server)
return {'new', id, whole(now)}
