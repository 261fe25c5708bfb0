-- Takes what a request needs: id, lease, and for each check its series, 1 if it is enforced, its kind, and five numbers.
-- Kinds: 0 is a budget (from, slot, keep_until, amount, limit), 1 a rate (the last two are increment and tolerance), and 2 a
-- limit on concurrency (the last one is the limit). Returns 1 if it is admitted, and for each check 1 if it passes, and what
-- is used as billions and rest.
local id, ends = ARGV[2], now + tonumber(ARGV[3])
local held = redis.call('LINDEX', P .. 'i:' .. id, 0)
local is_known = (held and tonumber(held) > now) or redis.call('EXISTS', P .. 'd:' .. id) == 1

local function used(series, from, slot)
    local key, hi, lo = P .. 's:' .. series, 0, 0
    if from == slot then
        local found = redis.call('HMGET', key, 't' .. slot, 'r' .. slot)
        hi, lo = plus(hi, lo, found[1])
        return plus(hi, lo, found[2])
    end
    local first, last = tonumber(from), tonumber(slot)
    local fields = redis.call('HGETALL', key)
    for at = 1, #fields, 2 do
        local start = tonumber(string.sub(fields[at], 2))
        if string.sub(fields[at], 1, 1) ~= 'k' and first <= start and start <= last then
            hi, lo = plus(hi, lo, fields[at + 1])
        end
    end
    return hi, lo
end

local is_admitted, answer, passed = true, {0}, {}
for at = 4, #ARGV, 8 do
    local series, kind, amount, limit = ARGV[at], ARGV[at + 2], ARGV[at + 6], ARGV[at + 7]
    local passes, hi, lo
    if kind == '0' then
        expire(series)
        hi, lo = used(series, ARGV[at + 3], ARGV[at + 4])
        local sum_hi, sum_lo = plus(hi, lo, amount)
        local limit_hi, limit_lo = plus(0, 0, limit)
        passes = sum_hi < limit_hi or (sum_hi == limit_hi and sum_lo <= limit_lo)
    elseif kind == '1' then
        hi, lo = 0, math.max(tonumber(redis.call('GET', P .. 'r:' .. series) or 0) - now, 0)
        passes = lo + tonumber(amount) <= tonumber(limit)
    else
        redis.call('ZREMRANGEBYSCORE', P .. 'c:' .. series, '-inf', text(now))
        hi, lo = 0, redis.call('ZCARD', P .. 'c:' .. series)
        passes = lo < tonumber(limit)
    end
    is_admitted = is_admitted and (passes or ARGV[at + 1] ~= '1')
    passed[at] = passes
    answer[#answer + 1] = passes and 1 or 0
    answer[#answer + 1] = hi
    answer[#answer + 1] = lo
end
answer[1] = (is_known or is_admitted) and 1 or 0
if is_known or not is_admitted then
    return answer
end

local parts = {text(ends)}
local function hold(kind, series, member)
    local key = P .. kind .. ':' .. series
    redis.call('ZADD', key, text(ends), member)
    parts[#parts + 1] = kind
    parts[#parts + 1] = series
    parts[#parts + 1] = member
    return key
end

for at = 4, #ARGV, 8 do
    local series, kind = ARGV[at], ARGV[at + 2]
    if kind == '0' then
        local slot, keep_until, amount = ARGV[at + 4], ARGV[at + 5], ARGV[at + 6]
        open_slot(series, slot, keep_until)
        add(P .. 's:' .. series, 'r' .. slot, amount)
        hold('h', series, id .. ':' .. at .. ':' .. slot .. ':' .. amount)
        keep_budget(series, keep_until, ends)
    elseif kind == '1' then
        if passed[at] then
            move(series, tonumber(ARGV[at + 6]))
        end
    else
        keep(hold('c', series, id .. ':' .. at), millis(ends))
    end
end
if #parts > 1 then
    local key = P .. 'i:' .. id
    redis.call('DEL', key)
    redis.call('RPUSH', key, unpack(parts))
    redis.call('PEXPIREAT', key, text(millis(ends)))
end
return answer
