-- Purpose: end the entries of queries that depend on some named tags, at once.
-- KEYS:    [1] guard  [2] tags
-- ARGV:    [1] run  [2] generation  [3] token  [4] quarantine ms  [5] lock ms
--          [6] the tags, as words
-- Returns: the generation.
-- Invariant: an entry that was loaded before this call carries other stamps than are in force after
--          it; the stamp of the guard changes, so that no older snapshot keeps one either.
local current = open_guard()
redis.call('HSET', guard, 'stamp', fresh(token))
touch(ARGV[6], {})
return current
