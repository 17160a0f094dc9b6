-- Purpose: right after COMMIT or ROLLBACK, end what `lock` began and publish what is known.
-- KEYS:    [1] guard  [2..] rows
-- ARGV:    [1] run  [2] generation  [3] token  [4] quarantine ms  [5] lock ms
--          [6] '1' when the whole region was held
--          then for each row: the field, the value ('' publishes nothing), its TTL in ms
-- Returns: {0, generation, rows published} or {1, generation} when the rows are named for another
--          generation (call again with those names, so that what crept in there is emptied).
-- Invariant: a value is published only by a writer that held the row alone from lock to release;
--          a writer that finds its lock gone empties the row, since anyone may have filled it.
local current = open_guard()
local lost = redis.call('HDEL', guard, 'w:' .. token) + redis.call('HDEL', guard, 'W:' .. token) == 0
if ARGV[6] == '1' then
  if lost then
    current = renew()
  end
  return {0, current, 0}
end
if current ~= gen then
  return {1, current}
end
if lost then
  redis.call('HSET', guard, 'stamp', fresh(token))
end
local now = clock()
local published = 0
for i = 2, #KEYS do
  local row, at = KEYS[i], 7 + (i - 2) * 3
  local others = holders(row, 'w:' .. token, now)
  if redis.call('HDEL', row, 'w:' .. token) == 0 then
    empty(row, others)
  elseif #others == 0 then
    -- expired writers are no longer there, but a row that two ever held together is published by none
    local alone = redis.call('HLEN', row) == 0
    if not alone then
      redis.call('DEL', row)
    elseif ARGV[at + 1] ~= '' then
      redis.call('HSET', row, ARGV[at], ARGV[at + 1])
      redis.call('PEXPIRE', row, ARGV[at + 2])
      published = published + 1
    end
  end
end
return {0, current, published}
