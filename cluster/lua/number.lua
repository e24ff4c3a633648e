-- Numbers for what is kept. The functions here read what push_kept.lua and push_user.lua have in common, ARGV 6 to 9: a name for the push, and
-- how it is kept.

-- Keep a history within so many bytes of Redis's memory; the oldest go, an eighth at a time.
local function trim_history(history_key, bytes)
	while true do
		local entries = redis.call('LLEN', history_key)
		if entries == 0 or redis.call('MEMORY', 'USAGE', history_key, 'SAMPLES', '0') <= bytes then return end
		redis.call('LTRIM', history_key, math.ceil(entries / 8), -1)
	end
end

-- A push whose answer was lost comes again with its writer's number, though newer ones of this writer may have been written since: the
-- number that it got, or '' where the history does not reach back so far: the stream's own would be another push's.
local function number_of(history_key, push, n)
	local kept = redis.call('LRANGE', history_key, 0, -1)
	for i = #kept, 1, -1 do
		if kept[i] == push then return whole(n - #kept + i) end
	end
	return ''
end

-- Number a push to a room or user who is kept. ARGV from `first` on are the fields of its entries: target, op and body first, its writer
-- and the writer's number last. `seconds` is the time. Its number; and is it the first time?
local function number_kept(stream, generation, first, seconds)
	local messages, bytes, lives = ARGV[7], ARGV[8], ARGV[9]
	local number_key, history_key, last = stream_key('n', stream), stream_key('h', stream), #ARGV
	local n, due, writers = place(number_key, history_key, generation, lives, true)
	local writer, seq = ' ' .. ARGV[last - 2] .. ' ', ARGV[last]
	local push = ARGV[first + 3] .. ' ' .. seq .. ' ' .. ARGV[first + 5]
	local from, to = string.find(writers, writer, 1, true)
	if from then
		local done, others = string.match(writers, '^(%d+)(.*)$', to + 1)
		-- Not below it, as numbers.
		if #done > #seq or #done == #seq and done >= seq then
			-- Of one that clears it is where the stream goes on.
			return ARGV[first + 1] == 'clear' and n or number_of(history_key, push, n), false
		end
		writers = string.sub(writers, 1, from - 1) .. others
	end
	-- The one that has been quiet for longest goes first.
	while #writers > 500 do writers = string.match(writers, '^ [^ ]+ %d+(.*)$') or '' end
	local entries, pos = 0, nil
	if ARGV[first + 1] == 'clear' then
		local now, micros = time()
		pos = beyond(n, micros)
		redis.call('DEL', history_key)
	else
		pos = whole(n + 1)
		if bytes ~= '' then trim_history(history_key, bytes - #push) end
		entries = redis.call('RPUSH', history_key, push)
		if entries > messages * 1.125 then redis.call('LTRIM', history_key, '-' .. messages, -1) end
	end
	writers = writers .. writer .. seq
	if entries < 2 or seconds >= due then
		local ttl, number_ttl = string.match(lives, '(%d+) (%d+)$')
		due = whole(seconds + math.floor(math.min(ttl, number_ttl) / 4000))
		redis.call('SET', number_key, pos .. ' ' .. generation .. ' ' .. due .. writers, 'PX', longer(number_ttl))
		redis.call('PEXPIRE', history_key, longer(ttl))
		keep_acks(stream, longer(number_ttl))
	else
		redis.call('SET', number_key, pos .. ' ' .. generation .. ' ' .. due .. writers, 'KEEPTTL')
	end
	return pos, true
end

-- The same of one that may have a name; with one it may not be kept: its number is then ''.
local function number_named(stream, generation, first, seconds)
	local name = ARGV[6]
	if name == '' then return number_kept(stream, generation, first, seconds) end
	local called = stream_key('i', stream) .. ':c:' .. name
	local before = redis.call('GET', called)
	if before then return before, false end
	local pos, is_first = '', true
	if ARGV[7] ~= '' then pos, is_first = number_kept(stream, generation, first, seconds) end
	redis.call('SET', called, pos, 'PX', 300000)
	return pos, is_first
end

