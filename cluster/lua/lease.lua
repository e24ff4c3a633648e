-- Renew a comet's lease, or take it where nobody has it. Called by a comet.
-- server, its epoch ('' before the first), lease, layout, number and generation that it knows (0 before the first), ms since it last
-- renewed, is it registering connections again (0 or 1), has it written all rooms anew since the last answer, fields and values
--   -> a word, epoch of the holder, Redis's time in ms, generation, number, are its rooms all there (0 or 1)
--   kept     renewed
--   lost     renewed, but some of its connections may be gone: all are to be registered again
--   new      taken; the data of an earlier holder are removed
--   taken    another has it
--   leaving  another has it, and is going away
--   fenced   it was ours, and is another's now
--   newer, older   see schema(); in place of the epoch stands the data's layout. Nothing is changed
local server, mine, lease, layout, wrote, known, away, registering, rooms = unpack(ARGV, 1, 9)
local now, micros = time()
local word, number = schema(layout, now, lease)
if word ~= 'ok' then return {word, number, whole(now), '0', '0', '0'} end
local key = prefix .. 'server:' .. server
local epoch, updated, leaving, written = unpack(redis.call('HMGET', key, 'epoch', 'updated', 'leaving', 'written'))
local fields = {'updated', whole(now)}
for i = 10, #ARGV do fields[#fields + 1] = ARGV[i] end

if epoch and (mine == '' and stands(updated, now, lease) or mine ~= '' and tonumber(epoch) > tonumber(mine)) then
	return {mine ~= '' and 'fenced' or leaving == '1' and 'leaving' or 'taken', epoch, whole(now), '0', '0', '0'}
end

if mine == '' then
	local generation = generation_of(now)
	local id = new_id(micros, epoch)
	remove_comet(server)
	redis.call('HSET', key, 'epoch', id, 'sent', 0, 'base', 0, 'written', 1, 'registering', 0, unpack(fields))
	redis.call('HSET', prefix .. 'rooms:' .. server, '', '#' .. generation)
	redis.call('SADD', prefix .. 'servers', server)
	count_comets()
	return {'new', id, whole(now), generation, '1', '1'}
end

-- It keeps its epoch, whatever Redis has of it: sessions that were saved are valid again. What is of an earlier epoch is of a process
-- before this one, and of a time that Redis has gone back to.
if epoch and epoch ~= mine then redis.call('DEL', key, prefix .. 'rooms:' .. server, prefix .. 'push:' .. server, prefix .. 'there:' .. epoch) end
if epoch ~= mine then
	redis.call('HSET', key, 'epoch', mine, 'sent', 0, 'base', 0)
	was_given(mine)
	written = nil
end
redis.call('HSET', key, unpack(fields))
-- A logic that began anew knows of no comet; this one was there before.
local first = not epoch and not redis.call('HGET', prefix .. 'redis', 'comets')
local had_no_name = redis.call('SADD', prefix .. 'servers', server) == 1
if had_no_name then count_comets() end

-- Half a day: the times to live, for sessions that nobody ends, are a day or more.
local jumped = epoch == mine and now - tonumber(updated or now) > tonumber(away) + 43200000
local all_lost = jumped or (evicted() or 0) > 0
local behind = tonumber(written or 0) < tonumber(wrote)
local generation = generation_of(now)
if epoch and (had_no_name or behind and generation == known) or first and generation ~= known then
	generation = begin_generation(now, all_lost)
elseif all_lost or behind and generation == known then
	generation = begin_generation(0, all_lost)
end

local lost = behind or all_lost
if lost then written = wrote end
written = whole((written or 0) + 1)
local mark = '#' .. generation
if rooms == '1' and generation == known then redis.call('HSET', prefix .. 'rooms:' .. server, '', mark) end
local has_rooms = redis.call('HGET', prefix .. 'rooms:' .. server, '') == mark
redis.call('HSET', key, 'written', written, 'registering', (lost or registering == '1' or not has_rooms) and 1 or 0)
return {lost and 'lost' or 'kept', mine, whole(now), generation, written, has_rooms and '1' or '0'}
