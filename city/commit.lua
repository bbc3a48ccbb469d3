-- Writes one partition's share of a batch: the newest measurement of each entity wins, every
-- event goes to the stream, counters move with it. All of it or nothing: whatever can be refused is
-- read before the first write. A batch that comes twice (the worker did not hear the answer) changes
-- nothing the second time and is answered as the first time.
--
-- KEYS: batches, counts, events, then for each facet: latest, measured
-- ARGV: worker, batch number, received_ms, oldest stream time to keep (ms), number of facets,
--       then for each facet: name, n, and n times: key, slot, measured_ms, mark, feed, json
-- Returns the positions (1-based, in the order given) of the events that were duplicates.
local worker, number = ARGV[1], tonumber(ARGV[2])
local duplicates, entry, counted, writes = {}, {}, {}, {}
local last = tonumber(redis.call('HGET', KEYS[1], worker) or '-1')
if number <= last then
  if number == last then
    local known = redis.call('HGET', KEYS[1], worker .. ':duplicates') or ''
    for position in string.gmatch(known, '%d+') do duplicates[#duplicates + 1] = tonumber(position) end
  end
  return duplicates
end
-- A key of a wrong type stops the script here, not half-way through the writes.
redis.call('HLEN', KEYS[2])
redis.call('XLEN', KEYS[3])

local function count(feed, what)
  if feed ~= '' then
    local name = feed .. ':' .. what
    counted[name] = (counted[name] or 0) + 1
    counted[feed .. ':received'] = (counted[feed .. ':received'] or 0) + 1
  end
end

-- Lua's unpack is limited to about 8,000 values: pairs are written in pieces.
local function hset(key, pairs_)
  for from = 1, #pairs_, 4000 do
    redis.call('HSET', key, unpack(pairs_, from, math.min(from + 3999, #pairs_)))
  end
end

-- Bytes of marks kept of one time; events of one camera and one time have long ones.
local MARKS_MAX = 2000

local function split(value)
  if not value then return nil, '' end
  local ms, mark = string.match(value, '^(-?%d+):?(.*)$')
  return tonumber(ms), mark
end

local at, seen, feeds = 6, 0, {}
for f = 1, tonumber(ARGV[5]) do
  local facet, n = ARGV[at], tonumber(ARGV[at + 1])
  at = at + 2
  local latest, measured = KEYS[2 + 2 * f], KEYS[3 + 2 * f]
  redis.call('HLEN', latest)
  local wanted, times = {}, {}
  for i = 0, n - 1 do
    local key, slot = ARGV[at + 6 * i], ARGV[at + 6 * i + 1]
    if times[key] == nil then times[key] = false; wanted[#wanted + 1] = key end
    if times[slot] == nil then times[slot] = false; wanted[#wanted + 1] = slot end
  end
  for from = 1, #wanted, 4000 do
    local to = math.min(from + 3999, #wanted)
    local found = redis.call('HMGET', measured, unpack(wanted, from, to))
    for i = from, to do times[wanted[i]] = found[i - from + 1] or false end
  end
  local newest, events, late = {}, {}, {}
  for i = 0, n - 1 do
    local base = at + 6 * i
    local key, slot, ms, mark = ARGV[base], ARGV[base + 1], tonumber(ARGV[base + 2]), ARGV[base + 3]
    local feed, json = ARGV[base + 4], ARGV[base + 5]
    seen = seen + 1
    local stamp = mark == '' and ARGV[base + 2] or (ARGV[base + 2] .. ':' .. mark)
    local slot_ms, slot_mark = split(times[slot])
    local key_ms = split(times[key])
    if feed ~= '' then feeds[feed] = true end
    if slot_ms == ms and string.find('\30' .. slot_mark .. '\30', '\30' .. mark .. '\30', 1, true) then
      duplicates[#duplicates + 1] = seen
      count(feed, 'rejected:duplicate')
    else
      -- Several of one time (a vehicle's doors): all their marks are kept, or the first could come again unseen.
      if slot_ms == ms and #times[slot] < MARKS_MAX then
        stamp = ARGV[base + 2] .. ':' .. slot_mark .. '\30' .. mark
      end
      if not slot_ms or ms >= slot_ms then times[slot] = stamp end
      if not key_ms or ms >= key_ms then
        times[key] = stamp
        newest[key] = json
        events[#events + 1] = json
        count(feed, 'stored')
      else
        late[#late + 1] = json
        count(feed, 'late')
      end
    end
  end
  local write, stamps = {}, {}
  for key, json in pairs(newest) do
    write[#write + 1] = key
    write[#write + 1] = json
  end
  for slot, stamp in pairs(times) do
    if stamp then
      stamps[#stamps + 1] = slot
      stamps[#stamps + 1] = stamp
    end
  end
  writes[#writes + 1] = {latest, write}
  writes[#writes + 1] = {measured, stamps}
  if #events > 0 then
    entry[#entry + 1] = facet
    entry[#entry + 1] = '[' .. table.concat(events, ',') .. ']'
  end
  if #late > 0 then
    entry[#entry + 1] = facet .. ':late'
    entry[#entry + 1] = '[' .. table.concat(late, ',') .. ']'
  end
  at = at + 6 * n
end

for _, write in ipairs(writes) do hset(write[1], write[2]) end
if #entry > 0 then
  redis.call('XADD', KEYS[3], 'MINID', '~', ARGV[4], '*', unpack(entry))
end
for name, by in pairs(counted) do redis.call('HINCRBY', KEYS[2], name, by) end
for feed in pairs(feeds) do redis.call('HSET', KEYS[2], feed .. ':last_ms', ARGV[3]) end
redis.call('HSET', KEYS[1], worker, ARGV[2], worker .. ':duplicates', table.concat(duplicates, ','))
return duplicates
