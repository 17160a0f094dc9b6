-- Purpose: right before COMMIT, take what the transaction wrote out of the cache and hold it.
-- KEYS:    [1] guard  [2] tags  [3..] rows
-- ARGV:    [1] run  [2] generation  [3] token  [4] quarantine ms  [5] lock ms
--          [6] '1' to hold the whole region  [7] the set of columns that tags are of
--          [8] '1' when the writer does not know the tags that its rows get  [9] those that it
--          knows, as words  [10] for each row '1' when it had tags before  [11] '1' when rows were
--          made, too, whose keys are not known  [12..] for each row the field whose value the
--          writer wants to build on, or ''; a single one is for all rows
-- Returns: packed by cmsgpack: {0, generation, values of those fields} or {1, generation} when the
--          rows are named for another generation (nothing is held then: call again).
-- Invariant: from lock to release nobody reads, fills or publishes the row but through this
--          writer's token; the stamp changes, so that no older snapshot fills either, and so does
--          that of every tag that a row has or gets; where one is not known, of all of them. Where
--          a new row's key is not known, so does the stamp that absences carry.
local seen = survey()
local current = seen.gen
local region = ARGV[6] == '1'
if current ~= gen and not region then
  return cmsgpack.pack({1, current})
end
local expiry = clock() + tonumber(ARGV[5])
local own = 'w:' .. token
if region then
  current = renew()
  redis.call('HSET', guard, 'W:' .. token, expiry)
  return cmsgpack.pack({0, current, {}})
end
redis.call('HSET', guard, own, expiry, 'stamp', fresh(token))
redis.call('PEXPIRE', guard, 2592000000)
if ARGV[11] == '1' then
  redis.call('HSET', guard, 'absent', signed(seen.absent, seen.open))
end

-- Nobody asked for tags of this region where the guard names no set of columns.
local tagset = seen.tagset
local loose = tagset and (ARGV[8] == '1' or ARGV[7] ~= tagset)
local words_field = 'tags:' .. ARGV[7]
if tagset and not loose then
  touch(ARGV[9], seen.open)
end

-- The value of a field of a row, '' where there is none, nil or the writers that hold the row, as
-- field, expiry, field, expiry, ..., and its tags. One command for all: with one for each question
-- a large transaction would keep the server busy for twice the time.
local function found(row, field)
  local all, value, others, words = redis.pcall('HGETALL', row), '', nil, nil
  for i = 1, #all, 2 do
    local name = all[i]
    if name == field then
      value = all[i + 1]
    elseif name == words_field then
      words = all[i + 1]
    elseif string.sub(name, 1, 2) == 'w:' and name ~= own and tonumber(all[i + 1]) > clock() then
      others = others or {}
      others[#others + 1] = name
      others[#others + 1] = all[i + 1]
    end
  end
  return value, others, words
end

local function hold(row)
  redis.call('DEL', row)
  redis.call('HSET', row, own, expiry)
  redis.call('PEXPIRE', row, 3600000)
end

local fields, values, alike = #ARGV - 11, {}, nil
for i = 3, #KEYS do
  local row = KEYS[i]
  local value, others, words = found(row, ARGV[fields == 1 and 12 or 9 + i])
  if tagset and not loose and string.sub(ARGV[10], i - 2, i - 2) == '1' then
    -- What the row says of itself, and not what the writer's object says: it may be an older one.
    if words and not others then
      touch(words, seen.open)
    else
      loose = true
    end
  end
  values[i - 2] = others and '' or value
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
if loose then
  redis.call('HSET', guard, 'loose', signed(seen.loose, seen.open))
end
return cmsgpack.pack({0, current, values})
