-- Writes changed alarms and incidents, what happened to them, what others are to be told of it and what their writer
-- remembers: all of it or nothing, and once.
--
-- KEYS: alarms, alarm_events, alarm_log, incidents, incident_events, incident_log, checkpoint, memory, and the outbox
--       of every receiver that is told something
-- ARGV: owner ('' for operators, who remember nothing), how long the events go back (ms), header
-- The header is msgpack: {alarms, transitions, incidents, entries, cursors, remembered, forgotten, notices}
--   alarms, incidents:    {id, JSON before ('' where there was none), JSON after ('' to forget it)} each
--   transitions, entries: JSON each, in the order in which they happened
--   cursors:              field, value, … of the checkpoint
--   remembered:           field, value, … of the memory;  forgotten: fields of it
--   notices:              {which of the outboxes, JSON} each
-- Returns the positions of the alarms that met another one than the one before, and of incidents as negative numbers:
-- nothing is written then. A commit of the owner that comes twice (it did not hear the answer) changes nothing the second time.
local PIECE = 4000 -- Lua's unpack is limited to about 8,000 values
local OUTBOXES = 8 -- keys before them
local owner = ARGV[1]
local alarms, transitions, incidents, entries, cursors, remembered, forgotten, notices = unpack(cmsgpack.unpack(ARGV[3]))
if owner ~= '' and redis.call('HGET', KEYS[7], 'owner') ~= owner then
  return redis.error_reply('FENCED another process watches for alarms')
end
-- A key of a wrong type stops the script here, not half-way through the writes.
for _, stream in ipairs({2, 3, 5, 6}) do redis.call('XLEN', KEYS[stream]) end
for _, hash in ipairs({1, 4, 7, 8}) do redis.call('HLEN', KEYS[hash]) end
for i = OUTBOXES + 1, #KEYS do redis.call('XLEN', KEYS[i]) end

-- Only the watching process sends again what nobody answered. What an operator would write and finds there is another
-- operator's: two comments of one millisecond look the same, and are two.
local others, known = {}, owner ~= '' and #alarms + #incidents > 0
local function compare(key, changes, sign)
  for i, change in ipairs(changes) do
    local stored = redis.call('HGET', key, change[1]) or ''
    local written = owner ~= '' and stored == change[3]
    known = known and written
    if not written and stored ~= change[2] then others[#others + 1] = sign * i end
  end
end
compare(KEYS[1], alarms, 1)
compare(KEYS[4], incidents, -1)
if known then return {} end
if #others > 0 then return others end

local function each(command, key, values)
  for from = 1, #values, PIECE do
    redis.call(command, key, unpack(values, from, math.min(from + PIECE - 1, #values)))
  end
end

local clock = redis.call('TIME')
local oldest = string.format('%d', math.max(0, clock[1] * 1000 + math.floor(clock[2] / 1000) - ARGV[2]))
local function write(hash, stream, name, changes)
  local set, gone = {}, {}
  for _, change in ipairs(changes) do
    if change[3] == '' then
      gone[#gone + 1] = change[1]
    else
      set[#set + 1] = change[1]
      set[#set + 1] = change[3]
      redis.call('XADD', stream, 'MINID', '~', oldest, '*', name, change[3])
    end
  end
  each('HSET', hash, set)
  each('HDEL', hash, gone)
end

for _, one in ipairs(transitions) do redis.call('XADD', KEYS[3], '*', 'transition', one) end
for _, one in ipairs(entries) do redis.call('XADD', KEYS[6], '*', 'entry', one) end
write(KEYS[1], KEYS[2], 'alarm', alarms)
write(KEYS[4], KEYS[5], 'incident', incidents)
for _, one in ipairs(notices) do redis.call('XADD', KEYS[OUTBOXES + one[1]], '*', 'notice', one[2]) end
each('HSET', KEYS[7], cursors)
each('HSET', KEYS[8], remembered)
each('HDEL', KEYS[8], forgotten)
return {}
