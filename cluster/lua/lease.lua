-- Renew a comet's lease, or take it where nobody has it. Called by a comet.
-- server, its epoch ('' before the first), lease, layout, fields and values -> a word, epoch of the holder, Redis's time in ms
--   kept     renewed
--   new      taken; the data of an earlier holder are removed
--   taken    another has it
--   leaving  another has it, and is going away
--   fenced   it was ours, and is another's now
--   newer, older   see schema(); in place of the epoch stands the data's layout. Nothing is changed
local server, mine, lease, layout = unpack(ARGV, 1, 4)
local now, micros = time()
local word, number = schema(layout, now, lease)
if word ~= 'ok' then return {word, number, whole(now)} end
local key = prefix .. 'server:' .. server
local epoch, updated, leaving = unpack(redis.call('HMGET', key, 'epoch', 'updated', 'leaving'))
local fields = {'updated', whole(now)}
for i = 5, #ARGV do fields[#fields + 1] = ARGV[i] end

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
redis.call('SADD', prefix .. 'servers', server)
return {'new', id, whole(now)}
