-- Purpose: right before COMMIT, take what the transaction wrote out of the cache and hold it.
-- KEYS:    [1] guard  [2..] rows
-- ARGV:    [1] run  [2] generation  [3] token  [4] quarantine ms  [5] lock ms
--          [6] '1' to hold the whole region  then for each row: the field whose value the writer
--          wants to build on, or ''
-- Returns: {0, generation, values of those fields...} or {1, generation} when the rows are named
--          for another generation (nothing is held then: call again).
-- Invariant: from lock to release nobody reads, fills or publishes the row but through this
--          writer's token; the stamp changes, so that no older snapshot fills either.
local current = open_guard()
local region = ARGV[6] == '1'
if current ~= gen and not region then
  return {1, current}
end
local now = clock()
local expiry = now + tonumber(ARGV[5])
local own = 'w:' .. token
if region then
  current = renew()
  redis.call('HSET', guard, 'W:' .. token, expiry)
  return {0, current}
end
redis.call('HSET', guard, own, expiry, 'stamp', fresh(token))
redis.call('PEXPIRE', guard, 2592000000)
local reply = {0, current}
for i = 2, #KEYS do
  local row, field = KEYS[i], ARGV[5 + i]
  local others = holders(row, own, now)
  reply[i + 1] = ''
  if field ~= '' and #others == 0 then
    reply[i + 1] = redis.call('HGET', row, field) or ''
  end
  redis.call('DEL', row)
  redis.call('HSET', row, own, expiry)
  if #others > 0 then
    redis.call('HSET', row, 'shared', '1', unpack(others))
  end
  redis.call('PEXPIRE', row, 3600000)
end
return reply
