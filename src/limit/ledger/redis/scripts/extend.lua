-- Extends leases: pairs of an id and the length of the lease.
for at = 2, #ARGV, 2 do
    local key = P .. 'i:' .. ARGV[at]
    local parts = redis.call('LRANGE', key, 0, -1)
    local ends = now + tonumber(ARGV[at + 1])
    if parts[1] and tonumber(parts[1]) > now and tonumber(parts[1]) < ends then
        for part = 2, #parts, 3 do
            local kind, series, member = parts[part], parts[part + 1], parts[part + 2]
            redis.call('ZADD', P .. kind .. ':' .. series, 'XX', text(ends), member)
            if kind == 'h' then
                keep_budget(series, 0, ends)
            else
                keep(P .. kind .. ':' .. series, millis(ends))
            end
        end
        redis.call('LSET', key, 0, text(ends))
        redis.call('PEXPIREAT', key, text(millis(ends)))
    end
end
return 1
