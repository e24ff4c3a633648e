-- Forget a connection that has gone. Called by logic.
-- server, key, user, id [, events] -> 'newer' | 'ok'
-- An older session of the key ends as well: its comet may never have heard of it, and then names the largest id, and no user.
-- A renewal may be late, and come after the disconnect that followed it. So a deleted session leaves a mark for a moment, by which
-- renew.lua knows that it is late: epoch 0 in its own key, or comet:left where another comet still has the key.
local server, key, user, id, events = unpack(ARGV)
local was, was_user, was_epoch, was_server = session(key)
if was and tonumber(was) > tonumber(id) then return {'newer'} end
if was and was ~= id and was_server ~= server and valid(was_epoch, was_server) then
	redis.call('SET', prefix .. 'left:' .. key, id, 'PX', 10000)
	return {'ok'}
end
redis.call('SET', prefix .. 'session:' .. key, id .. ' ' .. user .. ' 0 ' .. server, 'PX', 10000)
redis.call('SREM', prefix .. 'mid:' .. (was_user or user), key)
if events then
	if was and was ~= id then tell_end(events, key, was, was_epoch, was_server) end
	local epoch = was == id and was_epoch or redis.call('HGET', prefix .. 'server:' .. server, 'epoch')
	if epoch then tell_end(events, key, id, epoch, server) end
end
return {'ok'}
