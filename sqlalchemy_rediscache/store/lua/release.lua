-- Purpose: right after COMMIT or ROLLBACK, end what `lock` began and publish what is known.
-- KEYS:    [1] guard  [2..] rows
-- ARGV:    [1] run  [2] generation  [3] token  [4] quarantine ms  [5] lock ms
--          [6] '1' when the whole region was held  [7] packed as by cmsgpack, for each row: the
--          field, the value ('' publishes nothing), its TTL in ms, the field of its tags, its tags
--          ('' where they are not known); an empty list publishes nothing
-- Returns: packed by cmsgpack: {0, generation, rows published} or {1, generation} when the rows are
--          named for another generation (call again with those names, so that what crept in there
--          is emptied).
-- Invariant: a value is published only by a writer that held the row alone from lock to release;
--          a writer that finds its lock gone empties the row, since anyone may have filled it, and
--          ends the absences of the region.
local current = open_guard()
local own = 'w:' .. token
local lost = redis.call('HDEL', guard, own, 'W:' .. token) == 0
if ARGV[6] == '1' then
  if lost then
    current = renew()
  end
  return cmsgpack.pack({0, current, 0})
end
if current ~= gen then
  return cmsgpack.pack({1, current})
end
if lost then
  local seen = survey()
  redis.call('HSET', guard, 'stamp', fresh(token), 'loose', signed(seen.loose, seen.open),
    'absent', signed(seen.absent, seen.open))
end

-- The row is not this writer's alone: others go on holding it, and nobody publishes it. Where they
-- have expired it is emptied all the same: a row that two ever held together is published by none.
local function leave(row)
  local others = holders(row, own)
  if redis.call('HDEL', row, own) == 0 or #others == 0 then
    empty(row, others)
  end
end

local publish, published = cmsgpack.unpack(ARGV[7]), 0
for i = 2, #KEYS do
  local row, at = KEYS[i], (i - 2) * 5 + 1
  local alone = redis.pcall('HLEN', row) == 1 and redis.call('HDEL', row, own) == 1
  if not alone then
    leave(row)
  elseif publish[at + 1] and publish[at + 1] ~= '' then
    if publish[at + 4] ~= '' then
      redis.call('HSET', row, publish[at], publish[at + 1], publish[at + 3], publish[at + 4])
    else
      redis.call('HSET', row, publish[at], publish[at + 1])
    end
    redis.call('PEXPIRE', row, publish[at + 2])
    published = published + 1
  end
end
return cmsgpack.pack({0, current, published})
