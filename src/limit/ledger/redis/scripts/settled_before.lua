-- Returns what is settled without the requests from a second on, as billions and rest: the second, and pairs of a series and a
-- slot.
local before = tonumber(ARGV[2])
local answer = {}
for at = 3, #ARGV, 2 do
    local series, slot = ARGV[at], ARGV[at + 1]
    local hi, lo = plus(0, 0, redis.call('HGET', P .. 's:' .. series, 't' .. slot))
    for minute = math.floor(before / 60), math.floor(now / 60000000) do
        local fields = redis.call('HGETALL', P .. 'l:' .. minute .. ':' .. series)
        for field = 1, #fields, 2 do
            local of_slot, second = string.match(fields[field], '^(.*):(%d+)$')
            if of_slot == slot and tonumber(second) >= before then
                hi, lo = plus(hi, lo, negated(fields[field + 1]))
            end
        end
    end
    answer[#answer + 1] = hi
    answer[#answer + 1] = lo
end
return answer
