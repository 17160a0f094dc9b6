-- Purpose: read rows, and grant a lease on each that is absent, in one call.
-- KEYS:    [1] guard  [2..] rows
-- ARGV:    [1] run  [2] generation  [3] token  [4] quarantine ms  [5] lock ms
--          [6] lease ms, 0 to ask for no lease
--          [7] '' or '?' (report the stamp) or the stamp that must still be in force
--          [8] '1' to act as if the values were absent  [9] most bytes of a value  [10] the field
-- Returns: for one row that is there, when [7] is '': its value, a string. Else
--          {code, generation, stamp, busy, states}: code 0 read, 1 other generation, 2 other stamp;
--          stamp the one in force; busy 1 when a writer or the quarantine is open;
--          states packed by cmsgpack, one for each row: the value, or 1 leased to the caller,
--          2 locked (load, don't fill), 3 being filled by another, 4 absent and no lease asked for,
--          5 was too large and is deleted (no lease).
-- Invariant: a value is there only while no writer holds the row, since a lock empties it and a
--          fill or a release puts nothing beside one. A lease is never granted beside a writer of
--          the row or of the region, nor in quarantine.
local lease_ms, stamp, field = tonumber(ARGV[6]), ARGV[7], ARGV[10]
local current = open_guard()
if current ~= gen then
  return {1, current}
end
local most = tonumber(ARGV[9])
if #KEYS == 2 and stamp == '' and ARGV[8] == '0' then
  local value = redis.pcall('HGET', KEYS[2], field)
  if type(value) == 'string' and #value <= most then
    return value
  end
end

local now = clock()
local rows_open, region_open, quarantine = writers(now)
local seen = redis.call('HGET', guard, 'stamp') or ''
local busy = rows_open or region_open or quarantine
if stamp ~= '' and stamp ~= '?' and stamp ~= seen then
  return {2, current, seen, busy and 1 or 0}
end
local grant = lease_ms > 0 and not region_open and not quarantine

local function absent(row)
  if #holders(row, '', now) > 0 or region_open or quarantine then
    return 2
  end
  local lease = redis.call('HGET', row, 'lease')
  if lease then
    local owner, expiry = string.match(lease, '^(.*)|(%d+)$')
    if owner ~= token and tonumber(expiry) > now then
      return 3
    end
  end
  if not grant then
    return 4
  end
  redis.call('HSET', row, 'lease', token .. '|' .. (now + lease_ms))
  if redis.call('PTTL', row) < lease_ms then
    redis.call('PEXPIRE', row, lease_ms)
  end
  return 1
end

local states = {}
for i = 2, #KEYS do
  local value = redis.pcall('HGET', KEYS[i], field)
  if type(value) == 'table' then
    redis.call('DEL', KEYS[i])
    value = false
  end
  if value and ARGV[8] == '1' then
    redis.call('HDEL', KEYS[i], field)
    value = false
  end
  if value and #value > most then
    redis.call('HDEL', KEYS[i], field)
    states[i - 1] = 5
  else
    states[i - 1] = value or absent(KEYS[i])
  end
end
redis.call('PEXPIRE', guard, 2592000000)
return {0, current, seen, busy and 1 or 0, cmsgpack.pack(states)}
