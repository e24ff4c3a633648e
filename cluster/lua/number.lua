-- The history has room for an eighth more messages than it keeps, and is left with an eighth of its bytes free, so that the oldest go many at a time:
-- the bytes and the messages that are left.
local function trim_history(room, held, n, messages, bytes)
	while n > messages or (n > 1 and held > bytes) do
		local most = held > bytes and math.max(1, n - messages, math.floor(n / 8)) or n - messages
		local gone = redis.call('LPOP', history_key(room), most)
		for i = 1, #gone do held = held - #gone[i] end
		n = n - #gone
	end
	return held, n
end

-- A push whose answer was lost comes again with its writer's number, though newer ones of this writer may have been written since: the
-- number that it got, or the stream's, where the history does not reach back so far.
local function number_of(room, push, n)
	local kept = redis.call('LRANGE', history_key(room), 0, -1)
	for i = #kept, 1, -1 do
		if kept[i] == push then return whole(n - #kept + i) end
	end
	return whole(n)
end

-- Number a push to a room that is kept, and put its number behind the fields of its entries, ARGV from `first` on: target, op and body
-- come first, its writer and the writer's number last. Its number; and is it the first time?
local function number_kept(room, generation, kept, first, now, micros)
	local messages, bytes, idle_ttl, durable, times = string.match(kept, '^(%d+) (%d+) (%d+) (%d) (.*)$')
	local last = #ARGV
	local writer, seq = ' ' .. ARGV[last - 2] .. ' ', ARGV[last]
	local n, held, due, writers = place(room, generation, durable, idle_ttl, true)
	local push = ARGV[first + 3] .. ' ' .. seq .. ' ' .. ARGV[first + 5]
	local from, to = string.find(writers, writer, 1, true)
	if from then
		local done, others = string.match(writers, '^(%d+)(.*)$', to + 1)
		if tonumber(done) >= tonumber(seq) then return number_of(room, push, n), false end
		writers = string.sub(writers, 1, from - 1) .. others
	end
	-- The one that has been quiet for longest goes first.
	while #writers > 500 do writers = string.match(writers, '^ [^ ]+ %d+(.*)$') or '' end
	local entries = 0
	if ARGV[first + 1] == 'clear' then
		n = math.max(micros, n) + 60000000
		redis.call('DEL', history_key(room))
		held = 0
	else
		n = n + 1
		entries = redis.call('RPUSH', history_key(room), push)
		held = (entries > 1 and tonumber(held) or 0) + #push
		if entries * 8 > messages * 9 or held > tonumber(bytes) then
			held, entries = trim_history(room, held, entries, tonumber(messages), tonumber(bytes))
		end
	end
	local pos, is_due = whole(n), entries < 2 or now >= tonumber(due)
	local ttl, number_ttl
	if is_due then
		ttl, number_ttl = string.match(times, '^(%d+) (%d+)$')
		due = whole(now + math.min(ttl, number_ttl) / 4)
	end
	local value = pos .. ' ' .. generation .. ' ' .. held .. ' ' .. due .. writers .. writer .. seq
	if is_due then
		redis.call('SET', number_key(room), value, 'PX', longer(number_ttl))
		redis.call('PEXPIRE', history_key(room), longer(ttl))
		keep_acks(room, longer(number_ttl))
	else
		redis.call('SET', number_key(room), value, 'KEEPTTL')
	end
	ARGV[last + 1] = 'pos'
	ARGV[last + 2] = pos
	return pos, true
end

-- The same of one that may have a name; with one it may not be kept: its number is then ''.
local function number_named(room, generation, kept, name, first, now, micros)
	if name == '' then return number_kept(room, generation, kept, first, now, micros) end
	local called = stream_key('i', room) .. ':c:' .. name
	local before = redis.call('GET', called)
	if before then return before, false end
	local pos, is_first = '', true
	if kept ~= '' then pos, is_first = number_kept(room, generation, kept, first, now, micros) end
	redis.call('SET', called, pos, 'PX', 300000)
	return pos, is_first
end

