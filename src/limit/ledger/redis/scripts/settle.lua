-- Releases what a request holds, and adds what it used: id, time, how long it is remembered, the number of charges, each with
-- series, slot, keep_until, and amount, and then corrections of rates, each with series and microseconds.
local id, time, remembered, charges = ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
if not redis.call('SET', P .. 'd:' .. id, '1', 'NX', 'PX', text(millis(remembered))) then
    return 0
end
local parts = redis.call('LRANGE', P .. 'i:' .. id, 1, -1)
for at = 1, #parts, 3 do
    local kind, series, member = parts[at], parts[at + 1], parts[at + 2]
    if redis.call('ZREM', P .. kind .. ':' .. series, member) == 1 and kind == 'h' then
        release(series, member)
    end
end
redis.call('DEL', P .. 'i:' .. id)
-- A clock that is ahead does not hide a request.
local second = math.floor(math.min(time, now) / 1000000)
local minute = math.floor(second / 60)
local last = 6 + 4 * charges - 1
for at = 6, last, 4 do
    local series, slot, keep_until, amount = ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3]
    open_slot(series, slot, keep_until)
    add(P .. 's:' .. series, 't' .. slot, amount)
    keep_budget(series, keep_until)
    local log, forget = P .. 'l:' .. minute .. ':' .. series, (minute + 1) * 60000 + millis(remembered)
    if forget > millis(now) then
        add(log, slot .. ':' .. second, amount)
        redis.call('PEXPIREAT', log, text(forget))
    end
end
for at = last + 1, #ARGV, 2 do
    move(ARGV[at], tonumber(ARGV[at + 1]))
end
return 1
