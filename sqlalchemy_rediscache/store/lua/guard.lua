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

-- The server's time: asked for by those who need it, once.
local moment
local function time()
  moment = moment or redis.call('TIME')
  return moment
end

local function clock()
  local t = time()
  return t[1] * 1000 + math.floor(t[2] / 1000)
end

-- A name that was never used, though the call may run twice: an answer that was lost has the caller
-- send it again, and what others did in between must not be undone by giving an old name again.
local function fresh(name)
  local t = time()
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

-- The generation in force, after making the guard what it must be for this run of the server, given
-- what it says of itself.
local function opened(of_run, generation, held)
  local hold = tonumber(ARGV[4])
  if of_run == run and (hold == 0 or held == run) then
    return generation
  end
  if of_run and of_run ~= run then
    redis.call('DEL', guard)
    hold = math.max(hold, tonumber(ARGV[5]))
  end
  local name = renew()
  if hold > 0 then
    redis.call('HSET', guard, 'quarantine', clock() + hold, 'held', run)
  end
  return name
end

local function open_guard()
  local g = redis.pcall('HMGET', guard, 'run', 'gen', 'held')
  if g.err then
    redis.call('DEL', guard)
    g = {false, false, false}
  end
  return opened(g[1], g[2], g[3])
end

-- All that the guard says, opened: the generation in force, the stamp, that of absences (`absent`),
-- what the region's tags are of, and who writes now: rows of this bucket (`rows`), the region (`region`), their tokens
-- (`open`), and whether the quarantine lasts. Forgets writers that expired.
local function survey()
  local fields = redis.pcall('HGETALL', guard)
  if fields.err then
    redis.call('DEL', guard)
    fields = {}
  end
  local found = {stamp = '', loose = '', absent = '', open = {}}
  for i = 1, #fields, 2 do
    local name, value = fields[i], fields[i + 1]
    local kind = string.sub(name, 1, 2)
    if kind == 'w:' or kind == 'W:' then
      if tonumber(value) <= clock() then
        redis.call('HDEL', guard, name)
      else
        found.open[string.sub(name, 3)] = true
        if kind == 'w:' then found.rows = true else found.region = true end
      end
    else
      found[name] = value
    end
  end
  local generation = opened(found.run, found.gen, found.held)
  if generation ~= found.gen then
    return survey()
  end
  if found.quarantine and tonumber(found.quarantine) <= clock() then
    redis.call('HDEL', guard, 'quarantine')
    found.quarantine = nil
  end
  return found
end

-- The writers that hold a row, other than `own`, as field, expiry, field, expiry, ...
local function holders(row, own)
  local names = redis.pcall('HKEYS', row)
  if names.err then
    redis.call('DEL', row)
    return {}
  end
  local found = {}
  for _, name in ipairs(names) do
    if string.sub(name, 1, 2) == 'w:' and name ~= own then
      local expiry = redis.call('HGET', row, name)
      if tonumber(expiry) > clock() then
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

-- Put a value in a row under its field, and the row's tags ('' where they are not known). Values of
-- one row share its expiry: the first that is due decides.
local function put(row, field, value, ttl, words_field, words)
  local left, fields = redis.call('PTTL', row), {field, value}
  if words ~= '' then
    fields = {field, value, words_field, words}
  end
  if type(redis.pcall('HSET', row, unpack(fields))) == 'table' then
    redis.call('DEL', row) -- no hash: none of ours
    redis.call('HSET', row, unpack(fields))
    left = -2
  end
  if left < 0 or left > ttl then
    redis.call('PEXPIRE', row, ttl)
  end
end
