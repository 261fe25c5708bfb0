-- The ledger of tower-tagging. The start of every script.
--
-- ARGV[1] is the start of all keys, which has the layout's version and the hash tag of a cluster:
--   s:SERIES         the slots of a budget: t(slot) is settled, r(slot) is reserved, k(slot) is when it is no longer read
--   h:SERIES         the reservations of a budget, by the end of their lease: "id:check:slot:amount"
--   c:SERIES         the requests that run, by the end of their lease
--   r:SERIES         the theoretical arrival time of a rate
--   l:MINUTE:SERIES  what requests of this minute used, by "slot:second"
--   i:ID             the end of the lease of a request, and what it holds: kind, series, and member of each
--   d:ID             a request that was settled
--   index            all series of budgets
--
-- Numbers of Lua are exact up to 2^53. Times stay below. Amounts are only added by HINCRBY, which computes with 64 bits, and
-- summed up here as two numbers, the billions and the rest.
local P = ARGV[1]
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local BILLION = 1000000000

-- Concatenation would round.
local function text(number)
    return string.format('%.0f', number)
end

local function millis(micros)
    return math.ceil(micros / 1000)
end

local function normal(hi, lo)
    local carry = math.floor(lo / BILLION)
    return hi + carry, lo - carry * BILLION
end

-- Adds the text of a whole number.
local function plus(hi, lo, amount)
    if not amount then
        return hi, lo
    end
    local sign, digits = 1, amount
    if string.sub(amount, 1, 1) == '-' then
        sign, digits = -1, string.sub(amount, 2)
    end
    local head = #digits > 9 and tonumber(string.sub(digits, 1, -10)) or 0
    return normal(hi + sign * head, lo + sign * tonumber(string.sub(digits, -9)))
end

local function negated(amount)
    if amount == '0' then
        return amount
    end
    if string.sub(amount, 1, 1) == '-' then
        return string.sub(amount, 2)
    end
    return '-' .. amount
end

-- Adds to a field. The largest numbers of 64 bits are kept. Returns the sum, rounded.
local function add(key, field, amount)
    local sum = redis.pcall('HINCRBY', key, field, amount)
    if type(sum) == 'table' and sum.err then
        if not string.find(sum.err, 'overflow') then
            error(sum.err)
        end
        local is_negative = string.sub(amount, 1, 1) == '-'
        redis.call('HSET', key, field, is_negative and '-9223372036854775808' or '9223372036854775807')
        return is_negative and -9223372036854775808 or 9223372036854775807
    end
    return sum
end

-- Lets a key live until a time, unless it lives longer. Returns the milliseconds that it has left.
local function keep(key, until_millis)
    local left, wanted = redis.call('PTTL', key), until_millis - millis(now)
    if left >= wanted then
        return left
    end
    redis.call('PEXPIREAT', key, text(until_millis))
    return wanted
end

-- Keeps a budget until it is no longer read, but at least for an hour, and as long as its reservations. The reservations are
-- kept longer than their sums.
local function keep_budget(series, keep_until, ends)
    local last = math.max(tonumber(keep_until), ends or 0, now + 3600 * 1000000)
    local left = keep(P .. 's:' .. series, millis(last))
    redis.call('PEXPIREAT', P .. 'h:' .. series, text(millis(now) + left + 1000))
end

-- Prepares a slot of a budget.
local function open_slot(series, slot, keep_until)
    local key = P .. 's:' .. series
    local kept = redis.call('HGET', key, 'k' .. slot)
    if not kept then
        -- A new slot: those that are no longer read go.
        local fields = redis.call('HGETALL', key)
        local reserved = {}
        for at = 1, #fields, 2 do
            if string.sub(fields[at], 1, 1) == 'r' and fields[at + 1] ~= '0' then
                reserved[string.sub(fields[at], 2)] = true
            end
        end
        for at = 1, #fields, 2 do
            local kind, name = string.sub(fields[at], 1, 1), string.sub(fields[at], 2)
            if kind == 'k' and tonumber(fields[at + 1]) <= now and not reserved[name] then
                redis.call('HDEL', key, 't' .. name, 'r' .. name, 'k' .. name)
            end
        end
        redis.call('ZADD', P .. 'index', 0, series)
    end
    if not kept or tonumber(kept) < tonumber(keep_until) then
        redis.call('HSET', key, 'k' .. slot, keep_until)
    end
end

-- Releases a reservation of a budget that was removed from `h`. A sum that could not hold all of them ends at 0.
local function release(series, member)
    local slot, amount = string.match(member, '^[^:]*:[^:]*:(%-?%d+):(%-?%d+)$')
    local key = P .. 's:' .. series
    if slot and redis.call('HEXISTS', key, 'r' .. slot) == 1 and add(key, 'r' .. slot, negated(amount)) < 0 then
        redis.call('HSET', key, 'r' .. slot, '0')
    end
end

-- Releases the reservations of a budget whose lease has ended.
local function expire(series)
    local key = P .. 'h:' .. series
    local gone = redis.call('ZRANGEBYSCORE', key, '-inf', text(now))
    for _, member in ipairs(gone) do
        release(series, member)
    end
    if #gone > 0 then
        redis.call('ZREMRANGEBYSCORE', key, '-inf', text(now))
    end
end

-- Moves the theoretical arrival time of a rate.
local function move(series, micros)
    local key = P .. 'r:' .. series
    local tat = math.max(tonumber(redis.call('GET', key) or 0), now) + micros
    tat = math.min(tat, 9007199254740991)
    if tat > now then
        redis.call('SET', key, text(tat), 'PX', text(millis(tat - now)))
    else
        redis.call('DEL', key)
    end
end
