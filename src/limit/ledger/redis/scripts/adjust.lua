-- Adds differences to what is settled: series, slot, keep_until, and difference of each.
for at = 2, #ARGV, 4 do
    local series, slot, keep_until = ARGV[at], ARGV[at + 1], ARGV[at + 2]
    open_slot(series, slot, keep_until)
    add(P .. 's:' .. series, 't' .. slot, ARGV[at + 3])
    keep_budget(series, keep_until)
end
return 1
