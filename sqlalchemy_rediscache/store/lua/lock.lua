-- Purpose: right before COMMIT, take what the transaction wrote out of the cache and hold it.
-- KEYS:    [1] guard  [2..] rows
-- ARGV:    [1] run  [2] generation  [3] token  [4] quarantine ms  [5] lock ms
--          [6] '1' to hold the whole region  [7..] for each row the field whose value the writer
--          wants to build on, or ''; a single one is for all rows
-- Returns: packed by cmsgpack: {0, generation, values of those fields} or {1, generation} when the
--          rows are named for another generation (nothing is held then: call again).
-- Invariant: from lock to release nobody reads, fills or publishes the row but through this
--          writer's token; the stamp changes, so that no older snapshot fills either.
local current = open_guard()
local region = ARGV[6] == '1'
if current ~= gen and not region then
  return cmsgpack.pack({1, current})
end
local now = clock()
local expiry = now + tonumber(ARGV[5])
local own = 'w:' .. token
if region then
  current = renew()
  redis.call('HSET', guard, 'W:' .. token, expiry)
  return cmsgpack.pack({0, current, {}})
end
redis.call('HSET', guard, own, expiry, 'stamp', fresh(token))
redis.call('PEXPIRE', guard, 2592000000)

-- The value of a field of a row, '' where there is none, and nil or the writers that hold the row,
-- as field, expiry, field, expiry, ... One command for both: with one for each question a large
-- transaction would keep the server busy for twice the time.
local function found(row, field)
  local all, value, others = redis.pcall('HGETALL', row), '', nil
  for i = 1, #all, 2 do
    local name = all[i]
    if name == field then
      value = all[i + 1]
    elseif string.sub(name, 1, 2) == 'w:' and name ~= own and tonumber(all[i + 1]) > now then
      others = others or {}
      others[#others + 1] = name
      others[#others + 1] = all[i + 1]
    end
  end
  return value, others
end

local function hold(row)
  redis.call('DEL', row)
  redis.call('HSET', row, own, expiry)
  redis.call('PEXPIRE', row, 3600000)
end

local fields, values, alike = #ARGV - 6, {}, nil
for i = 2, #KEYS do
  local row = KEYS[i]
  local value, others = found(row, ARGV[5 + (fields == 1 and 2 or i)])
  values[i - 1] = others and '' or value
  if others then
    hold(row)
    redis.call('HSET', row, 'shared', '1', unpack(others))
  elseif alike then
    redis.call('COPY', alike, row, 'REPLACE') -- what `hold` does, expiry and all, in one command
  else
    hold(row)
    alike = row
  end
end
return cmsgpack.pack({0, current, values})
