-- Purpose: what every other script starts with: the guard of a region's bucket, and its rows.
--          This text is put before each script; it is not called by itself.
-- KEYS:    [1] the guard of the bucket; every other key of a call is a row of that bucket.
-- ARGV:    [1] run id of this server  [2] the generation that the caller knows, or the token
--          [3] a token, never used before  [4] ms of quarantine the caller asks for  [5] lock ms
-- Returns: nothing; defines the functions below.
-- Invariant: a generation is used by one run of one server only. A guard that is missing, foreign
--          or of another run gets a generation that no key was ever named with; after a restart
--          that lost locks no lease is granted before `quarantine` has passed.
local guard, run, gen, token = KEYS[1], ARGV[1], ARGV[2], ARGV[3]

local function clock()
  local t = redis.call('TIME')
  return t[1] * 1000 + math.floor(t[2] / 1000)
end

-- A name that was never used, though the call may run twice: an answer that was lost has the caller
-- send it again, and what others did in between must not be undone by giving an old name again.
local function fresh(name)
  local t = redis.call('TIME')
  return string.format('%s.%x', name, (t[1] * 1000000 + t[2]) % 4294967296)
end

-- Give the guard a new generation. Writers open now hold rows of the old one, whose names nobody
-- reads any more: they become writers of the whole region, so that no lease is granted beside them.
local function renew()
  local name = fresh(token)
  local fields = redis.call('HGETALL', guard)
  for i = 1, #fields, 2 do
    if string.sub(fields[i], 1, 2) == 'w:' then
      redis.call('HDEL', guard, fields[i])
      redis.call('HSET', guard, 'W:' .. string.sub(fields[i], 3), fields[i + 1])
    end
  end
  redis.call('HSET', guard, 'run', run, 'gen', name, 'stamp', name)
  redis.call('PEXPIRE', guard, 2592000000)
  return name
end

-- The generation in force, after making the guard what it must be for this run of the server.
local function open_guard()
  local hold = tonumber(ARGV[4])
  local g = redis.pcall('HMGET', guard, 'run', 'gen', 'held')
  if g.err then
    redis.call('DEL', guard)
    g = {false, false, false}
  end
  if g[1] == run and (hold == 0 or g[3] == run) then
    return g[2]
  end
  if g[1] and g[1] ~= run then
    redis.call('DEL', guard)
    hold = math.max(hold, tonumber(ARGV[5]))
  end
  local name = renew()
  if hold > 0 then
    redis.call('HSET', guard, 'quarantine', clock() + hold, 'held', run)
  end
  return name
end

-- Is a writer of the kind that `prefix` names open ('w:' rows of this bucket, 'W:' the region)?
-- Returns that for both, whether the quarantine lasts, and forgets writers that expired.
local function writers(now)
  local rows, region, quarantine = false, false, false
  local fields = redis.call('HGETALL', guard)
  for i = 1, #fields, 2 do
    local kind = string.sub(fields[i], 1, 2)
    if kind == 'w:' or kind == 'W:' then
      if tonumber(fields[i + 1]) <= now then
        redis.call('HDEL', guard, fields[i])
      elseif kind == 'w:' then
        rows = true
      else
        region = true
      end
    elseif fields[i] == 'quarantine' then
      quarantine = tonumber(fields[i + 1]) > now
    end
  end
  return rows, region, quarantine
end

-- The writers that hold a row, other than `own`, as field, expiry, field, expiry, ...
local function holders(row, own, now)
  local names = redis.pcall('HKEYS', row)
  if names.err then
    redis.call('DEL', row)
    return {}
  end
  local found = {}
  for _, name in ipairs(names) do
    if string.sub(name, 1, 2) == 'w:' and name ~= own then
      local expiry = redis.call('HGET', row, name)
      if tonumber(expiry) > now then
        found[#found + 1] = name
        found[#found + 1] = expiry
      end
    end
  end
  return found
end

-- Empty a row of everything but the writers that hold it. They may have taken a value from it that
-- was not to be trusted, to build theirs on: the row counts as shared, and none of them publishes.
local function empty(row, held)
  redis.call('DEL', row)
  if #held > 0 then
    redis.call('HSET', row, 'shared', '1', unpack(held))
    redis.call('PEXPIRE', row, 3600000)
  end
end
