-- Where these keys are, or all keys of these users. Called by logic.
-- generation that the caller knows, lease, 'keys' | 'users', each key or user
--   -> 'unsure' | 'ok', generation (the new one once all comets have said that they are all there), key, server and id of each,
--   and by which of the names it was found: 1 is the first
local found = {'ok', ''}
local generation = look_for(ARGV[1], ARGV[2], ARGV[3], 4, #ARGV, function(key, server, id, _, of)
	local n = #found
	found[n + 1], found[n + 2], found[n + 3], found[n + 4] = key, server, id, tostring(of)
end)
if not generation then return {'unsure'} end
found[2] = generation
return found
