-- Purpose: answer `read` for one row that is there, or that nobody has, in a region where nobody
--          writes, which is nearly always. This text is put before the others; it is not called by
--          itself, and what it does not answer goes on to them.
-- KEYS:    as in read.lua
-- ARGV:    as in read.lua
-- Returns: the row's value, a string; or as read.lua; or nothing
-- Invariant: what it answers is what `read` would. A value is served whoever writes other rows; for
--          a lease it counts the guard's fields: one more than those that it knows is a writer or
--          the quarantine, which is the whole script's to judge, as is all else that is not as it
--          should be.
if #KEYS == 2 and ARGV[7] == '' and ARGV[8] ~= '1' and ARGV[11] == '0' then
  local known = redis.pcall('HMGET', KEYS[1], 'run', 'gen', 'held', 'absent', 'stamp', 'loose',
    'tagset')
  local value
  if known[1] == ARGV[1] and known[2] == ARGV[2] and (ARGV[4] == '0' or known[3] == ARGV[1]) then
    value = redis.pcall('HGET', KEYS[2], ARGV[10])
  end
  if type(value) == 'string' and #value <= tonumber(ARGV[9]) then
    if string.byte(value) ~= 192 then
      return value
    end
    -- A remembered absence: it carries the stamp of absences that must be in force.
    if value == '\192' .. (known[4] and string.match(known[4], '^[^|]*') or known[2]) then
      return '\192'
    end
  elseif value == false and known[5] and ARGV[6] ~= '0' and redis.call('EXISTS', KEYS[2]) == 0 then
    local count = 0
    for i = 1, 7 do
      count = count + (known[i] and 1 or 0)
    end
    if redis.call('HLEN', KEYS[1]) == count then
      local t = redis.call('TIME')
      local ends = t[1] * 1000 + math.floor(t[2] / 1000) + tonumber(ARGV[6])
      redis.call('HSET', KEYS[2], 'lease', ARGV[3] .. '|' .. ends)
      redis.call('PEXPIRE', KEYS[2], ARGV[6])
      local absent = known[4] and string.match(known[4], '^[^|]+') or known[2]
      return {0, known[2], known[5], 0, cmsgpack.pack({1}), absent}
    end
  end
end
