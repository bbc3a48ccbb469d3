-- Writes changed alarms, their transitions and what their writer remembers: all of it or nothing, and once.
--
-- KEYS: alarms, alarm_events, alarm_log, checkpoint, memory
-- ARGV: owner ('' for operators, who remember nothing), how long alarm_events goes back (ms), header
-- The header is msgpack: {changes, transitions, cursors, remembered, forgotten}
--   changes:     {id, JSON before ('' where there was none), JSON after ('' to forget the alarm)} each
--   transitions: JSON each, in the order in which they happened
--   cursors:     field, value, … of the checkpoint
--   remembered:  field, value, … of the memory;  forgotten: fields of it
-- Returns the positions of the changes that met another alarm than the one before: nothing is written then.
-- A commit that comes twice (its writer did not hear the answer) changes nothing the second time.
local PIECE = 4000 -- Lua's unpack is limited to about 8,000 values
local owner = ARGV[1]
local changes, transitions, cursors, remembered, forgotten = unpack(cmsgpack.unpack(ARGV[3]))
if owner ~= '' and redis.call('HGET', KEYS[4], 'owner') ~= owner then
  return redis.error_reply('FENCED another process watches for alarms')
end
-- A key of a wrong type stops the script here, not half-way through the writes.
redis.call('XLEN', KEYS[2])
redis.call('XLEN', KEYS[3])
redis.call('HLEN', KEYS[4])
redis.call('HLEN', KEYS[5])

local others, known = {}, #changes > 0
for i, change in ipairs(changes) do
  local stored = redis.call('HGET', KEYS[1], change[1]) or ''
  if stored ~= change[3] then
    known = false
    if stored ~= change[2] then others[#others + 1] = i end
  end
end
if known then return {} end
if #others > 0 then return others end

local function each(command, key, values)
  for from = 1, #values, PIECE do
    redis.call(command, key, unpack(values, from, math.min(from + PIECE - 1, #values)))
  end
end

local set, gone = {}, {}
for _, change in ipairs(changes) do
  if change[3] == '' then
    gone[#gone + 1] = change[1]
  else
    set[#set + 1] = change[1]
    set[#set + 1] = change[3]
  end
end
each('HSET', KEYS[1], set)
each('HDEL', KEYS[1], gone)
local clock = redis.call('TIME')
local oldest = string.format('%d', math.max(0, clock[1] * 1000 + math.floor(clock[2] / 1000) - ARGV[2]))
for _, one in ipairs(transitions) do redis.call('XADD', KEYS[3], '*', 'transition', one) end
for _, change in ipairs(changes) do
  if change[3] ~= '' then redis.call('XADD', KEYS[2], 'MINID', '~', oldest, '*', 'alarm', change[3]) end
end
each('HSET', KEYS[4], cursors)
each('HSET', KEYS[5], remembered)
each('HDEL', KEYS[5], forgotten)
return {}
