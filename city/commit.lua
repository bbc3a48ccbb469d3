-- Writes one partition's share of a batch: the newest measurement of each entity wins, every
-- event goes to the stream, counters move with it. All of it or nothing: whatever can be refused is
-- read before the first write. A batch that comes twice (the worker did not hear the answer) changes
-- nothing the second time and is answered as the first time.
--
-- KEYS: batches, counts, events, digests, onboard, archived, then for each group: latest, measured
-- ARGV: worker, batch number, received_ms, how long the stream goes back (ms), digests, header, how long it waits
--       for the archive (ms), then for each group a JSON array of its events.
-- The header is msgpack: a group [facet, feeds, keys, times, lengths, slots, marks, counts] each.
--   feeds:   one name for all events, or a name each; '' is not counted. A leading '~' marks an event
--            that is not counted either when it says nothing new (the broker repeats what is retained).
--   times:   measured_ms as text;  lengths: bytes of each event's JSON
--   slots:   where an event's time is compared for duplicates; false: the keys
--   marks:   tell events of one slot and one time apart; false: nothing does
--   counts:  passengers: {boarded - alighted, nil} to be added up or {nil, onboard}; false elsewhere
-- Returns the positions (1-based, in the order given) of the events that were duplicates.

-- Batches remembered a worker, most of a second: what a killed worker had acknowledged and the broker has not heard comes again.
local RING = 256
local MARKS_MAX = 2000 -- bytes of marks kept of one time; events of one camera and one time have long ones
local PIECE = 4000 -- Lua's unpack is limited to about 8,000 values
local QUIET = 126 -- '~'
local AHEAD_MS = 60000 -- ids so far ahead of the clock: it was wrong once, and went back

local worker, number, digests = ARGV[1], tonumber(ARGV[2]), ARGV[5]
local batches, counters, events = KEYS[1], KEYS[2], KEYS[3]
local ring = worker .. ':' .. (number % RING)
local state = redis.call('HMGET', batches, ring, worker .. ':fence', worker)
local known, fence, highest = state[1], tonumber(state[2] or '0'), tonumber(state[3] or '0')
if known then
  local had, positions = string.match(known, '^(%d+):(.*)$')
  if tonumber(had) == number then
    local duplicates = {}
    for position in string.gmatch(positions, '%d+') do duplicates[#duplicates + 1] = tonumber(position) end
    -- Written again, so that who waits for this write on disk has a write to wait for.
    redis.call('HSET', batches, ring, known)
    return duplicates
  end
end
-- A process that another one of its name has followed may write nothing more: what the broker sends again then is looked
-- up in what is stored, and that must stand still.
if number < fence then return redis.error_reply('FENCED another process works as ' .. worker) end
-- A key of a wrong type stops the script here, not half-way through the writes.
redis.call('XLEN', events)
redis.call('HLEN', KEYS[4])
local archived = redis.call('GET', KEYS[6]) or ''
local archived_ms = tonumber(string.match(archived, '^%d+'))

-- Stream ids are of the store's clock: a worker whose clock jumps must not trim by its own.
local clock = redis.call('TIME')
local clock_ms = clock[1] * 1000 + math.floor(clock[2] / 1000)

local duplicates, entry, counted, writes = {}, {}, {}, {}
local onboard, summed_up = {}, {} -- of vehicles: 'sum:time of its own last number'; which of them changed

local function read(key, fields, into)
  for from = 1, #fields, PIECE do
    local to = math.min(from + PIECE - 1, #fields)
    local found = redis.call('HMGET', key, unpack(fields, from, to))
    for i = from, to do into[fields[i]] = found[i - from + 1] end
  end
end

local function write(key, pairs_)
  for from = 1, #pairs_, PIECE do
    redis.call('HSET', key, unpack(pairs_, from, math.min(from + PIECE - 1, #pairs_)))
  end
end

-- A store that is full takes no write, but gives room back: what only waits for the archive goes then, an eighth at a
-- time, the oldest first. Without that it would stay full for ever when the archive's writer is away.
local function give_way()
  local first = redis.call('XRANGE', events, '-', '+', 'COUNT', 1)[1]
  if not first then return end
  local first_ms, keep_ms = tonumber(string.match(first[1], '^%d+')), clock_ms - ARGV[4]
  if first_ms > clock_ms + AHEAD_MS then
    redis.call('XTRIM', events, 'MAXLEN', '~', math.floor(redis.call('XLEN', events) * 7 / 8))
  elseif first_ms < keep_ms then
    -- Whole nodes go: where none is so old, all that may go does.
    for _, until_ms in ipairs({first_ms + (keep_ms - first_ms) / 8, keep_ms}) do
      if redis.call('XTRIM', events, 'MINID', '~', string.format('%d', until_ms)) > 0 then return end
    end
  end
end

local function split(stamp)
  if not stamp then return nil, '' end
  local ms = tonumber(stamp)
  if ms then return ms, '' end
  local at = string.find(stamp, ':', 1, true)
  return tonumber(string.sub(stamp, 1, at - 1)), string.sub(stamp, at + 1)
end

local function count(feed, what, more)
  if feed == '' then return end
  local name, received = feed .. ':' .. what, feed .. ':received'
  counted[name] = (counted[name] or 0) + more
  counted[received] = (counted[received] or 0) + more
end

-- The new values of the counters and of when each feed was last heard of, as HSET takes them.
local function totals()
  -- A clock that ran ahead for a while must not hide a silent feed afterwards.
  local heard_ms = math.min(tonumber(ARGV[3]), clock_ms)
  local names, before, values = {}, {}, {}
  for name in pairs(counted) do
    names[#names + 1] = name
    local feed = string.match(name, '^(.*):received$')
    if feed then names[#names + 1] = feed .. ':last_ms' end
  end
  read(counters, names, before)
  for _, name in ipairs(names) do
    local had, more = tonumber(before[name] or '0'), counted[name]
    -- Messages that are taken in again later do not make a silent feed speak.
    values[#values + 1] = name
    values[#values + 1] = string.format('%d', more and had + more or math.max(had, heard_ms))
  end
  return values
end

-- The event with who is on board. A running sum goes on from the vehicle's own last number, kept with its time:
-- who got on got on, in whatever order it is told, but not before that number was said.
local function with_onboard(key, json, given, ms)
  local sum, said_ms = string.match(onboard[key] or '0:0', '^(-?%d+):(%d+)$')
  sum, said_ms = tonumber(sum), tonumber(said_ms)
  if given[2] then
    if ms >= said_ms then sum, said_ms = given[2], ms end
  elseif ms > said_ms then
    sum = sum + given[1]
  end
  onboard[key] = string.format('%d:%d', sum, said_ms)
  summed_up[key] = true
  if given[2] then return json end
  return string.sub(json, 1, -2) .. ',"onboard":' .. string.format('%d', sum) .. ',"estimated":true}'
end

local seen = 0
local groups = cmsgpack.unpack(ARGV[6])
for g = 1, #groups do
  local facet, feeds, keys, times, lengths, slots, marks, counts = unpack(groups[g])
  local blob = ARGV[7 + g]
  local latest, measured = KEYS[5 + 2 * g], KEYS[6 + 2 * g]
  redis.call('HLEN', latest)
  local stamps, changed, newest, starts, dropped, late = {}, {}, {}, {}, {}, {}
  read(measured, keys, stamps)
  if slots then read(measured, slots, stamps) end
  if counts then read(KEYS[5], keys, onboard) end
  local n, start, stored, whole = #keys, 2, 0, not counts
  local one_feed = type(feeds) == 'string'
  local plain = one_feed and not slots and not marks and feeds ~= '' and string.byte(feeds) ~= QUIET
  for i = 1, n do
    local key, time = keys[i], times[i]
    local before = stamps[key]
    starts[i] = start
    start = start + lengths[i] + 1
    -- Nearly all events: the first or the next of an entity that sends one at a time.
    -- Times of one length compare as texts.
    if plain and (not before or (#before == #time and before < time)) then
      stamps[key] = time
      newest[key] = i
      stored = stored + 1
    else
      local feed = one_feed and feeds or feeds[i]
      local quiet = string.byte(feed) == QUIET
      if quiet then feed = string.sub(feed, 2) end
      local slot, mark, ms = slots and slots[i] or key, marks and marks[i] or '', tonumber(time)
      local slot_ms, slot_mark = split(stamps[slot])
      local key_ms = split(stamps[key])
      local repeated = slot_ms == ms
        and string.find('\30' .. slot_mark .. '\30', '\30' .. mark .. '\30', 1, true) ~= nil
      if quiet and slot_ms and ms <= slot_ms then
        whole, dropped[i] = false, true
      elseif repeated then
        whole, dropped[i] = false, true
        duplicates[#duplicates + 1] = seen + i
        count(feed, 'rejected:duplicate', 1)
      else
        local stamp = mark == '' and time or (time .. ':' .. mark)
        -- Several of one time (a vehicle's doors): all their marks are kept, or the first could come again unseen.
        if slot_ms == ms and #stamps[slot] < MARKS_MAX then stamp = time .. ':' .. slot_mark .. '\30' .. mark end
        if not slot_ms or ms >= slot_ms then
          stamps[slot] = stamp
          changed[slot] = true
        end
        if not key_ms or ms >= key_ms then
          stamps[key] = stamp
          newest[key] = i
          count(feed, 'stored', 1)
        else
          whole, dropped[i] = false, 'late'
          late[#late + 1] = string.sub(blob, starts[i], start - 2)
          count(feed, 'late', 1)
        end
      end
    end
  end
  seen = seen + n
  if stored > 0 then count(feeds, 'stored', stored) end
  local summed = {}
  if counts then
    for i = 1, n do
      local given, ms = counts[i], tonumber(times[i])
      if not dropped[i] then
        local json = string.sub(blob, starts[i], starts[i] + lengths[i] - 1)
        summed[i] = with_onboard(keys[i], json, given, ms)
      elseif dropped[i] == 'late' and not given[2] then
        with_onboard(keys[i], '', given, ms) -- who got on got on, in whatever order it is told
      end
    end
  end
  local values, times_, at = {}, {}, 0
  for key, i in pairs(newest) do
    values[at + 1], values[at + 2] = key, summed[i] or string.sub(blob, starts[i], starts[i] + lengths[i] - 1)
    times_[at + 1], times_[at + 2] = key, stamps[key]
    at = at + 2
  end
  for slot in pairs(changed) do
    times_[#times_ + 1] = slot
    times_[#times_ + 1] = stamps[slot]
  end
  writes[#writes + 1] = {latest, values}
  writes[#writes + 1] = {measured, times_}
  if whole then
    entry[#entry + 1] = facet
    entry[#entry + 1] = blob
  else
    local kept = {}
    for i = 1, n do
      if not dropped[i] then
        kept[#kept + 1] = summed[i] or string.sub(blob, starts[i], starts[i] + lengths[i] - 1)
      end
    end
    if #kept > 0 then
      entry[#entry + 1] = facet
      entry[#entry + 1] = '[' .. table.concat(kept, ',') .. ']'
    end
  end
  if #late > 0 then
    entry[#entry + 1] = facet .. ':late'
    entry[#entry + 1] = '[' .. table.concat(late, ',') .. ']'
  end
end
local sums = {}
for key in pairs(summed_up) do
  sums[#sums + 1] = key
  sums[#sums + 1] = onboard[key]
end
local new_counters = totals()

-- The first write: a full store refuses it, and nothing is written yet.
local begun = redis.pcall('HSET', batches, worker .. ':fence', string.format('%d', fence))
if type(begun) == 'table' and begun.err then
  if string.find(begun.err, 'OOM', 1, true) then give_way() end
  return begun
end
for _, one in ipairs(writes) do write(one[1], one[2]) end
if #entry > 0 then
  local before_ms = clock_ms - ARGV[4]
  -- What the archive has not got stays, but not for ever: a store that fills up would take nothing at all any more.
  if archived_ms then before_ms = math.min(before_ms, math.max(archived_ms, clock_ms - ARGV[7])) end
  local id = redis.call('XADD', events, 'MINID', '~', string.format('%d', math.max(0, before_ms)), '*', unpack(entry))
  -- Such ids are never old by the clock: what is archived of them can go.
  if tonumber(string.match(id, '^%d+')) > clock_ms + AHEAD_MS and archived_ms then
    redis.call('XTRIM', events, 'MINID', '~', archived)
  end
end
write(KEYS[5], sums)
write(counters, new_counters)
if digests ~= '' then redis.call('HSET', KEYS[4], ring, digests) end
-- The highest, in whatever order they come: a new worker goes on behind it.
local last = string.format('%d', math.max(number, highest))
redis.call('HSET', batches, worker, last, ring, ARGV[2] .. ':' .. table.concat(duplicates, ','))
return duplicates
