-- Purpose: put rows in the cache that a reader loaded under its lease, or give the lease back.
-- KEYS:    [1] guard  [2..] rows
-- ARGV:    [1] run  [2] generation  [3] token  [4] quarantine ms  [5] lock ms
--          then for each row: the field, the value ('' gives the lease back), its TTL in ms, the
--          field of its tags, its tags ('' where they are not known)
-- Returns: how many rows were filled.
-- Invariant: a fill is accepted only while the row's lease is the caller's. A lock clears leases
--          and a new generation renames rows, so a value loaded before either never gets in.
local g = redis.pcall('HMGET', guard, 'run', 'gen')
if g.err or g[1] ~= run or g[2] ~= gen then
  return 0
end
local filled = 0
for i = 2, #KEYS do
  local row, at = KEYS[i], 6 + (i - 2) * 5
  local lease = redis.pcall('HGET', row, 'lease')
  if type(lease) == 'string' and string.match(lease, '^(.*)|%d+$') == token then
    redis.call('HDEL', row, 'lease')
    if ARGV[at + 1] ~= '' then
      put(row, ARGV[at], ARGV[at + 1], tonumber(ARGV[at + 2]), ARGV[at + 3], ARGV[at + 4])
      filled = filled + 1
    end
  end
end
return filled
