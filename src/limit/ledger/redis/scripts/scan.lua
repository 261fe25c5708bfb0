-- Returns the slots of a part of the series that start with a text: the prefix, the series after which to go on, or the
-- prefix, the first slot, and the number of series. The answer is the last series, or an empty text at the end, and then for
-- each slot its series, start, settled, and reserved.
local prefix, after, first, count = ARGV[2], ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5])
local start = after == '' and '[' .. prefix or '(' .. after
local found = redis.call('ZRANGEBYLEX', P .. 'index', start, '(' .. prefix .. '\255', 'LIMIT', 0, count)
local answer = {#found == count and found[#found] or ''}
for _, series in ipairs(found) do
    expire(series)
    local fields = redis.call('HGETALL', P .. 's:' .. series)
    if #fields == 0 then
        redis.call('ZREM', P .. 'index', series)
    end
    local values, slots = {}, {}
    for at = 1, #fields, 2 do
        values[fields[at]] = fields[at + 1]
        local slot = string.sub(fields[at], 2)
        if string.sub(fields[at], 1, 1) == 'k' and tonumber(slot) >= first then
            slots[#slots + 1] = slot
        end
    end
    table.sort(slots, function(one, other) return tonumber(one) < tonumber(other) end)
    for _, slot in ipairs(slots) do
        answer[#answer + 1] = series
        answer[#answer + 1] = slot
        answer[#answer + 1] = values['t' .. slot] or '0'
        answer[#answer + 1] = values['r' .. slot] or '0'
    end
end
return answer
