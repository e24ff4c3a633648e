-- Register a connection. Called by logic.
-- server, key, user, ttl, expires (0: never) [, events] -> 'late' | 'no lease' | 'later', id, '0'
--   | 'ok', id, number [, server and id of the one it replaced]
local server, key, user, ttl, expires, events = unpack(ARGV)
local now, micros = time()
if tonumber(expires) > 0 and now > tonumber(expires) then return {'late'} end
local epoch, registering = unpack(redis.call('HMGET', prefix .. 'server:' .. server, 'epoch', 'registering'))
if not epoch then return {'no lease'} end
local was, was_user, was_epoch, was_server = session(key)
local id = new_id(micros, was)
-- The other comet still serves the key: if the key moved now, pushes would reach a comet whose bucket does not have the connection yet,
-- and be lost. renew.lua moves the key, once the new comet can take pushes.
if was and was_server ~= server and valid(was_epoch, was_server) then return {'later', id, '0'} end
local number = put_session(key, id, user, epoch, server, ttl, was_user, registering)
if events then tell_begin(events, key, id, user, epoch, server, was, was_epoch, was_server) end
if was and valid(was_epoch, was_server) then return {'ok', id, number, was_server, was} end
return {'ok', id, number}
