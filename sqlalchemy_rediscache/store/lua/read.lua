-- Purpose: read rows, and grant a lease on each that is absent or nearly over, in one call.
-- KEYS:    [1] guard  [2..] rows
-- ARGV:    [1] run  [2] generation  [3] token  [4] quarantine ms  [5] lock ms
--          [6] lease ms, 0 to ask for no lease
--          [7] '' or '?' (report the stamp) or the stamp that must still be in force
--          [8] '1' to act as if the values were absent  [9] most bytes of a value  [10] the field
--          [11] ms: the caller would load anew what has less than this to live, '0' for nothing
-- Returns: {code, generation, stamp, busy, states, absent}, or what read_short.lua answers: code 0
--          read, 1 other generation, 2 other stamp (what follows is missing in these);
--          stamp the one in force; busy 1 when a writer or the quarantine is open;
--          states packed by cmsgpack, one for each row: the value, or 1 leased to the caller,
--          2 locked (load, don't fill), 3 being filled by another, 4 absent and no lease asked for,
--          5 was too large and is deleted (no lease), 7 leased to the caller though it is there:
--          all others go on getting the value. A remembered absence is a value, packed nil;
--          absent is what one must carry that is loaded under these leases, '' when none may be
--          remembered.
-- Invariant: a value is there only while no writer holds the row, since a lock empties it and a
--          fill or a release puts nothing beside one. A lease is never granted beside a writer of
--          the row or of the region, nor in quarantine, and makes no value live longer. An absence
--          is served only while no row has been made under an unknown key since its lease.
local lease_ms, stamp, field = tonumber(ARGV[6]), ARGV[7], ARGV[10]
local most, unwanted = tonumber(ARGV[9]), ARGV[8] == '1'

-- Is the row lent to another reader?
local function lent(row)
  local owner, expiry = string.match(redis.call('HGET', row, 'lease') or '', '^(.*)|(%d+)$')
  return owner and owner ~= token and tonumber(expiry) > clock()
end

-- A remembered absence is packed as nil (byte 192). What it carries follows: a stamp that the guard
-- has, with those who change it as in tags.lua, or the generation where it has none.
local nothing = '\192'

-- Is it time for this caller to load a value anew that is there? Not a remembered absence. There is
-- no such question where the caller loads nothing early.
local due
if ARGV[11] ~= '0' then
  local early = tonumber(ARGV[11])
  function due(row, value)
    return string.byte(value) ~= 192 and redis.call('PTTL', row) < early and not lent(row)
  end
end

local seen = survey()
if seen.gen ~= gen then
  return {1, seen.gen}
end
local busy = (seen.rows or seen.region or seen.quarantine) and 1 or 0
if stamp ~= '' and stamp ~= '?' and stamp ~= seen.stamp then
  return {2, gen, seen.stamp, busy}
end
local closed = seen.region or seen.quarantine
local grant = lease_ms > 0 and not closed

-- Lend the row to the caller, or say why not. What else is in the hash lives no longer for it: a
-- load that fails, again and again, must not keep an old value alive. Should the hash expire before
-- the fill, the lease is gone with it, and the fill is refused.
local function lend(row)
  if closed then
    return 2
  end
  local lease, bare = false, true
  for _, name in ipairs(redis.call('HKEYS', row)) do
    if string.sub(name, 1, 2) == 'w:' and tonumber(redis.call('HGET', row, name)) > clock() then
      return 2
    end
    if name == 'lease' then lease = true else bare = false end
  end
  if lease and lent(row) then
    return 3
  end
  if not grant then
    return 4
  end
  redis.call('HSET', row, 'lease', token .. '|' .. (clock() + lease_ms))
  if bare then
    redis.call('PEXPIRE', row, lease_ms)
  end
  return 1
end

-- What absences carry now, and what those will that are loaded from now on.
local absent = string.match(seen.absent, '^[^|]+') or gen
local carried = nothing .. absent
for owner in string.gmatch(string.match(seen.absent, '|(.*)$') or '', '[^,]+') do
  if seen.open[owner] then absent = '' end
end

local states, ask = {}, redis.pcall
for i = 2, #KEYS do
  local value, large = ask('HGET', KEYS[i], field), false
  if type(value) == 'table' then
    redis.call('DEL', KEYS[i]) -- no hash: none of ours
    value = false
  elseif value and (unwanted or #value > most) then
    redis.call('HDEL', KEYS[i], field)
    value, large = false, not unwanted
  elseif value and string.byte(value) == 192 then
    value = value == carried and nothing
    if not value then
      redis.call('HDEL', KEYS[i], field) -- a row may have been made since
    end
  end
  if value and due and due(KEYS[i], value) and lend(KEYS[i]) == 1 then
    value = 7
  end
  states[i - 1] = value or large and 5 or lend(KEYS[i])
end
return {0, gen, seen.stamp, busy, cmsgpack.pack(states), absent}
