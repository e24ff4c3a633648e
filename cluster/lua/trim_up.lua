-- Packets for back ends, within so many bytes of Redis's memory: the oldest go. Called by a logic.
-- bytes -> how many went
return trim_stream(prefix .. 'up', ARGV[1], 2)
