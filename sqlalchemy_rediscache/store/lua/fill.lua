-- Purpose: put rows in the cache that a reader loaded under its lease, or give the lease back.
-- KEYS:    [1] guard  [2..] rows
-- ARGV:    [1] run  [2] generation  [3] token  [4] quarantine ms  [5] lock ms
--          then for each row: the field, the value ('' for none), its TTL in ms, the field of its
--          tags, its tags ('' where they are not known). Without a value, a TTL of 0 gives the
--          lease back and leaves what is there, any other says that it is not to be served.
-- Returns: how many rows were filled.
-- Invariant: a fill is accepted only while the row's lease is the caller's. A lock clears leases
--          and a new generation renames rows, so a value loaded before either never gets in. No
--          value but the one that was loaded lives longer for it.
local g = redis.pcall('HMGET', guard, 'run', 'gen')
if g.err or g[1] ~= run or g[2] ~= gen then
  return 0
end
local filled = 0
for i = 2, #KEYS do
  local row, at = KEYS[i], 6 + (i - 2) * 5
  local lease = redis.pcall('HGET', row, 'lease')
  if type(lease) == 'string' and string.match(lease, '^(.*)|%d+$') == token then
    local field, value, ttl = ARGV[at], ARGV[at + 1], tonumber(ARGV[at + 2])
    if ttl == 0 then
      redis.call('HDEL', row, 'lease')
    elseif redis.call('HDEL', row, 'lease', field) == 2 then
      -- It was loaded anew. The row's time begins again with this value alone: the others, and the
      -- tags, are as old as they were, and must go when they would have.
      redis.call('DEL', row)
    end
    if value ~= '' then
      put(row, field, value, ttl, ARGV[at + 3], ARGV[at + 4])
      filled = filled + 1
    end
  end
end
if filled > 0 then
  redis.call('PEXPIRE', guard, 2592000000)
end
return filled
