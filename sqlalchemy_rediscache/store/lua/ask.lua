-- Purpose: read the entry of a query and rows that it is expected to name, or only what it depends
--          on in this region and rows, in one call.
-- KEYS:    [1] guard  [2] tags  [3] the entry, where [12] says so  [3 or 4..] rows of the region
-- ARGV:    [1] run  [2] generation that the rows are named for  [3] token  [4] quarantine ms
--          [5] lock ms  [6] lease ms, 0 to ask for no lease  [7] most bytes of an entry or a row
--          [8] '' or the stamp of the region that must still be in force (an older snapshot)
--          [9] '1' to act as if the entry were absent  [10] the set of columns that tags are of
--          [11] ms that the entry may be served after it was last known to be right, 0 for none
--          [12] '1' when the entry lies with this region, else '0'  [13] the field of the rows
--          [14..] the tags that the query depends on here; none when on the whole region
-- Returns: packed by cmsgpack {state, generation, stamp, busy, depends, entry, ms it has left, age,
--          good, rows}: state 0 there, 1 leased to the caller, 2 a write is under way (load, don't
--          keep), 3 being loaded by another, 4 absent and no lease asked for, 6 other stamp; stamp
--          and busy as `read` gives them; depends what an entry must carry that is loaded after
--          this call, '' in states 2 and 6; rows their values, false for each that is not there,
--          and false for all that are named for another generation. Where [11] is not 0 and that
--          is known of the entry: age the ms since it was last known to be right (else -1), good
--          when that was; the entry is given in all states but 6 then.
-- Invariant: an entry is there only with what it depended on before it was loaded; the caller
--          serves it only when that, of every region that it depends on, is what it is now. Rows
--          and what they depend on are of one moment.
local seen = survey()
local current = seen.gen
local lease_ms = tonumber(ARGV[6])
local busy = (seen.rows or seen.region or seen.quarantine) and 1 or 0
if ARGV[8] ~= '' and ARGV[8] ~= seen.stamp then
  return cmsgpack.pack({6, current, seen.stamp, busy, '', '', -1, -1, '', false})
end
local wanted, rows = {unpack(ARGV, 14)}, rows_of(current)
if #wanted > 0 then
  adopt(seen, ARGV[10])
end
local on = depends(current, seen, wanted)
local entry, stale_ms = KEYS[3], tonumber(ARGV[11])
if ARGV[12] == '0' or (not on and stale_ms == 0) then
  return cmsgpack.pack(
    {on and 0 or 2, current, seen.stamp, busy, on or '', '', -1, -1, '', rows})
end
local found = redis.pcall('HMGET', entry, 'on', 'value', 'lease', 'until', 'good')
if found.err then
  redis.call('DEL', entry)
  found = {false, false, false, false, false}
end
local value = found[2] and #found[2] <= tonumber(ARGV[7]) and found[2]
local ends = stale_ms > 0 and found[4] and tonumber(found[4])
local there = on and found[1] == on and value and ARGV[9] ~= '1' and (not ends or clock() < ends)

local function answer(state)
  local left = -1
  if there then
    left = ends and ends - clock() or redis.call('PTTL', entry)
  end
  local reply = {state, current, seen.stamp, busy, on or '', there and value or '', left, -1, '',
    rows}
  local since = stale_ms > 0 and value and found[5] and string.match(found[5], '^%d+')
  if since then
    reply[6], reply[8], reply[9] = value, clock() - tonumber(since), found[5]
  end
  return cmsgpack.pack(reply)
end

if there then
  return answer(0)
end
if not on then
  return answer(2)
end
if lease_ms == 0 then
  return answer(4)
end
if found[3] then
  local owner, expiry = string.match(found[3], '^(.*)|(%d+)$')
  if owner ~= token and tonumber(expiry) > clock() then
    return answer(3)
  end
end
redis.call('PEXPIRE', guard, 2592000000)
redis.call('HSET', entry, 'lease', token .. '|' .. (clock() + lease_ms))
if stale_ms > 0 then
  redis.call('HSET', entry, 'since', clock())
end
if redis.call('PTTL', entry) < lease_ms then
  redis.call('PEXPIRE', entry, lease_ms)
end
return answer(1)
