-- Purpose: answer `ask` where nothing is written and all is there, which is nearly always: 17 us of
--          the server's time where the whole script takes 45. This text is put before the others;
--          it is not called by itself, and what it does not answer goes on to them.
-- KEYS:    as in ask.lua
-- ARGV:    as in ask.lua
-- Returns: as ask.lua, or nothing
-- Invariant: what it answers is what `ask` would. It counts the guard's fields: one more than those
--          that it knows is a writer, which is the whole script's to judge, as is all else that is
--          not as it should be.
local function rows_of(generation)
  local first = ARGV[12] == '1' and 4 or 3
  if not KEYS[first] or generation ~= ARGV[2] then
    return false
  end
  local rows, field, most, get = {}, ARGV[13], tonumber(ARGV[7]), redis.pcall
  for i = first, #KEYS do
    local value = get('HGET', KEYS[i], field)
    rows[i - first + 1] = type(value) == 'string' and #value <= most and value
  end
  return rows
end

do
  local known = redis.pcall('HMGET', KEYS[1], 'run', 'gen', 'held', 'stamp', 'loose', 'tagset',
    'absent')
  local count, generation, stamp, on = 0, known[2], known[4], nil
  for i = 1, 7 do
    count = count + (known[i] and 1 or 0)
  end
  local quiet = known[1] == ARGV[1] and (ARGV[4] == '0' or known[3] == ARGV[1])
    and generation and stamp and (ARGV[8] == '' or ARGV[8] == stamp)
    and ARGV[9] ~= '1' and ARGV[11] == '0' and redis.call('HLEN', KEYS[1]) == count
  if quiet and not ARGV[14] then
    on = generation .. '|' .. stamp
  elseif quiet and known[5] and known[6] == ARGV[10] then
    local values = redis.pcall('HMGET', KEYS[2], unpack(ARGV, 14))
    local parts = {generation, string.match(known[5], '^[^|]*')}
    for i = 1, #values do
      parts[#parts + 1] = values[i] and string.match(values[i], '^[^|]*') or nil
    end
    on = #parts == #ARGV - 11 and table.concat(parts, '|')
  end
  if on and ARGV[12] == '0' then
    return cmsgpack.pack({0, generation, stamp, 0, on, '', -1, -1, '', rows_of(generation)})
  elseif on then
    local found = redis.pcall('HMGET', KEYS[3], 'on', 'value')
    local value = found[1] == on and found[2]
    if value and #value <= tonumber(ARGV[7]) then
      local left = redis.call('PTTL', KEYS[3])
      return cmsgpack.pack({0, generation, stamp, 0, on, value, left, -1, '', rows_of(generation)})
    end
  end
end
