-- Purpose: take rows, or the whole region, out of the cache at once, without a transaction.
-- KEYS:    [1] guard  [2..] rows; none for the whole region
-- ARGV:    [1] run  [2] generation  [3] token  [4] quarantine ms  [5] lock ms
-- Returns: {0, generation} or {1, generation} when the rows are named for another generation.
-- Invariant: what was loaded before this call is never filled after it: leases go with the values,
--          the stamp and that of all tags change; writers keep their locks.
local current = open_guard()
if #KEYS == 1 then
  return {0, renew()}
end
if current ~= gen then
  return {1, current}
end
local seen = survey()
redis.call('HSET', guard, 'stamp', fresh(token), 'loose', signed(seen.loose, seen.open))
for i = 2, #KEYS do
  empty(KEYS[i], holders(KEYS[i], ''))
end
return {0, current}
