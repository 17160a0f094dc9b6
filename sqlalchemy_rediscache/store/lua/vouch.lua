-- Purpose: note when the entry of a query was in force, for those who may be served it after that.
-- KEYS:    [1] guard  [2] the entry
-- ARGV:    [1] run  [2] generation  [3] token  [4] quarantine ms  [5] lock ms
--          [6] when it was last known to be right, as `ask` reported it  [7] ms that have passed
--          since before it was asked for, when it was found to be in force
-- Returns: 1 when it was noted.
-- Invariant: the time is noted of the very entry that was in force, and is not later than when it
--          was: another entry that was kept meanwhile has another time, with its own name in it.
local entry = KEYS[2]
local seen = redis.pcall('HGET', entry, 'good')
if type(seen) ~= 'string' or seen ~= ARGV[6] then
  return 0
end
local at, name = string.match(seen, '^(%d+)(%..*)$')
local now = clock() - tonumber(ARGV[7])
if not at or now <= tonumber(at) then
  return 0
end
redis.call('HSET', entry, 'good', string.format('%.0f', now) .. name)
return 1
