-- May a program of this layout start? The first call of a logic; comets ask as they take their lease.
-- layout, lease, a name for the data -> 'ok' | 'newer' | 'older', and the layout that the data have; with ok their name and generation
local now = time()
local word, number = schema(ARGV[1], now, ARGV[2])
if word ~= 'ok' then return {word, number} end
return {word, number, cluster(ARGV[3]), generation_of(now)}
