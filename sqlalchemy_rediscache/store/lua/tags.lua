-- Purpose: what scripts have after the guard that look at, or change, what queries depend on.
--          This text is put before such a script; it is not called by itself.
-- KEYS:    [1] the guard  [2] the region's tags: a hash, for each tag its stamp and who writes it
-- ARGV:    as in guard.lua
-- Returns: nothing; defines the functions below.
-- Invariant: a tag's stamp is a name never used before; whoever writes a row with the tag changes
--          it in its lock. A tag is begun only while no writer of the region is open, so that no
--          writer that could not find it is between its lock and its release.
local tags = KEYS[2]

local function owners(value)
  return string.gmatch(string.match(value, '|(.*)$') or '', '[^,]+')
end

-- Has it a writer that has not released yet?
local function written(value, open)
  for owner in owners(value) do
    if open[owner] then
      return true
    end
  end
  return false
end

-- Its next value, with this writer among those that have not released.
local function signed(value, open)
  local names = token
  for owner in owners(value) do
    if open[owner] and owner ~= token then
      names = names .. ',' .. owner
    end
  end
  return fresh(token) .. '|' .. names
end

-- A writer has, or may have, rows with these tags (words of a text): no entry that depends on one
-- of them is good any more. Tags that nobody asked for are not there and need no stamp.
local function touch(words, open)
  local list = {}
  for tag in string.gmatch(words, '%S+') do
    list[#list + 1] = tag
  end
  for first = 1, #list, 1000 do
    local last = math.min(first + 999, #list)
    local values, changed = redis.call('HMGET', tags, unpack(list, first, last)), {}
    for i = first, last do
      local value = values[i - first + 1]
      if value then
        changed[#changed + 1] = list[i]
        changed[#changed + 1] = signed(value, open)
      end
    end
    if #changed > 0 then
      redis.call('HSET', tags, unpack(changed))
    end
  end
end

-- Begin with the region's tags anew: every entry that depends on one is out of date.
local function reset(seen)
  redis.call('DEL', tags)
  seen.loose = signed(seen.loose, seen.open)
  redis.call('HSET', guard, 'loose', seen.loose)
end

-- What an entry depends on that needs these tags (none: the whole region), as a text that every
-- write which may concern it makes another. Returns nil while such a write is under way.
local function depends(generation, seen, wanted)
  if seen.region or seen.quarantine then
    return nil
  end
  if #wanted == 0 then
    if seen.rows then
      return nil
    end
    return generation .. '|' .. seen.stamp
  end
  if written(seen.loose, seen.open) then
    return nil
  end
  local parts = {generation, string.match(seen.loose, '^[^|]*')}
  local values, begun = redis.call('HMGET', tags, unpack(wanted)), {}
  for i = 1, #wanted do
    local value = values[i]
    if not value then
      if seen.rows then
        return nil
      end
      value = fresh(token) .. '.' .. i .. '|'
      begun[#begun + 1] = wanted[i]
      begun[#begun + 1] = value
    elseif written(value, seen.open) then
      return nil
    end
    parts[#parts + 1] = string.match(value, '^[^|]*')
  end
  if #begun > 0 then
    if redis.call('HLEN', tags) > 50000 then
      reset(seen)
      return depends(generation, seen, wanted)
    end
    redis.call('HSET', tags, unpack(begun))
    redis.call('PEXPIRE', tags, 86400000)
  end
  return table.concat(parts, '|')
end

-- Tags are named by their columns' places in a set of columns. Programs that know other sets (two
-- versions of one) take turns: what was cached under the other set is out of reach.
local function adopt(seen, tagset)
  if seen.tagset ~= tagset then
    seen.tagset = tagset
    redis.call('HSET', guard, 'tagset', tagset)
    reset(seen)
  end
end
