-- Keep a session, move it here, or bring it back after a loss. Called by logic at each heartbeat that reaches it.
-- server, key, user, id, ttl [, events] -> 'no lease' | 'gone' | 'newer' | 'ok', number [, server and id of the one it replaced]
local server, key, user, id, ttl, events = unpack(ARGV)
local epoch, registering = unpack(redis.call('HMGET', prefix .. 'server:' .. server, 'epoch', 'registering'))
if not epoch then return {'no lease'} end
local was, was_user, was_epoch, was_server = session(key)
if was and tonumber(was) >= tonumber(id) and was_epoch == '0' then return {'gone'} end
if was and tonumber(was) > tonumber(id) and valid(was_epoch, was_server) then return {'newer'} end
local left = redis.call('GET', prefix .. 'left:' .. key)
if left and tonumber(left) >= tonumber(id) then return {'gone'} end
if registering == '1' then was_given(id) end
local number = put_session(key, id, user, epoch, server, ttl, was_user, registering)
if events then tell_begin(events, key, id, user, epoch, server, was, was_epoch, was_server) end
if was and was ~= id and was_server ~= server and valid(was_epoch, was_server) then return {'ok', number, was_server, was} end
return {'ok', number}
