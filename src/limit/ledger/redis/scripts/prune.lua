-- Removes series whose counts have expired from a part of the index. Returns the cursor of the next part.
local found = redis.call('ZSCAN', P .. 'index', ARGV[2], 'COUNT', 500)
for at = 1, #found[2], 2 do
    if redis.call('EXISTS', P .. 's:' .. found[2][at]) == 0 then
        redis.call('ZREM', P .. 'index', found[2][at])
    end
end
return found[1]
