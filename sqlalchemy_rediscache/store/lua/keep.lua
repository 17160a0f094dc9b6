-- Purpose: keep what a query returned: its entry, and the rows of one region that came with it.
-- KEYS:    [1] guard  [2] tags  [3] the entry, or the guard again when only rows are kept
--          [4..] rows
-- ARGV:    [1] run  [2] generation  [3] token  [4] quarantine ms  [5] lock ms
--          [6] what the entry depended on in this region before it was loaded
--          [7] the same of the rows: that, or the whole region
--          [8] the entry's value ('' gives the lease back)  [9] its TTL in ms (0, and no value: what
--          was there is left)  [10] ms that it may be served after it ended  [11] how many tags
--          follow, then the tags that [7] is of; then, once: the field of the rows, the field of
--          their tags; then for each row: the value, its TTL in ms, its tags
-- Returns: {1 when the entry was kept, how many rows were}.
-- Invariant: a row is kept only while nothing that the rows depend on here has changed since
--          before it was loaded: then no writer has locked it since, for each row of the result
--          has one of the tags, or they depend on the whole region. An entry needs its lease only:
--          whoever reads it compares.
local g = redis.pcall('HMGET', guard, 'run', 'gen')
if g.err or g[1] ~= run or g[2] ~= gen then
  return {0, 0}
end
local kept, filled = 0, 0
local entry = KEYS[3]
if entry ~= guard then
  local was = redis.pcall('HMGET', entry, 'lease', 'since')
  if not was.err and was[1] and string.match(was[1], '^(.*)|%d+$') == token then
    local ttl, stale = tonumber(ARGV[9]), tonumber(ARGV[10])
    if ARGV[8] == '' and ttl == 0 then
      redis.call('HDEL', entry, 'lease', 'since')
    else
      redis.call('DEL', entry)
    end
    if ARGV[8] ~= '' then
      redis.call('HSET', entry, 'on', ARGV[6], 'value', ARGV[8])
      if stale > 0 and was[2] then
        -- it was loaded after that moment, so that it was right at it or later
        redis.call('HSET', entry, 'until', clock() + ttl, 'good', was[2] .. '.' .. token)
      end
      redis.call('PEXPIRE', entry, ttl + stale)
      kept = 1
    end
  end
end
local count = tonumber(ARGV[11])
if #KEYS == 3 or depends(gen, survey(), {unpack(ARGV, 12, 11 + count)}) ~= ARGV[7] then
  return {kept, 0}
end
local at = 12 + count
local field, words = ARGV[at], ARGV[at + 1]
for i = 4, #KEYS do
  local row, of = KEYS[i], at + 2 + (i - 4) * 3
  put(row, field, ARGV[of], tonumber(ARGV[of + 1]), words, ARGV[of + 2])
  filled = filled + 1
end
return {kept, filled}
