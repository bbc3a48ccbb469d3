-- Writes a batch's rejects and their counters once, whatever number of times it is sent.
--
-- KEYS: batches, counts, rejects, digests, rejects_size
-- ARGV: worker, batch number, bytes of rejects to keep, count them (1 or 0), digests, then for each reject:
--       feed, reason, detail, topic, payload, received_ms
local RING = 256 -- as in commit.lua
local worker, number, most = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local ring = worker .. ':' .. (number % RING)
local state = redis.call('HMGET', KEYS[1], ring, worker .. ':fence')
local known, fence = state[1], tonumber(state[2] or '0')
if known and tonumber(string.match(known, '^%d+')) == number then
  -- Written again, so that who waits for this write on disk has a write to wait for.
  redis.call('HSET', KEYS[1], ring, known)
  return 0
end
if number < fence then return redis.error_reply('FENCED another process works as ' .. worker) end -- as in commit.lua
redis.call('HLEN', KEYS[2])
redis.call('XLEN', KEYS[3])
redis.call('HLEN', KEYS[4])
local size = tonumber(redis.call('GET', KEYS[5]) or '0')
local counted = {}
for at = 6, #ARGV, 6 do
  local feed, reason = ARGV[at], ARGV[at + 1]
  local bytes = #ARGV[at + 2] + #ARGV[at + 3] + #ARGV[at + 4] + 100
  redis.call('XADD', KEYS[3], '*', 'feed', feed, 'reason', reason,
    'detail', ARGV[at + 2], 'topic', ARGV[at + 3], 'payload', ARGV[at + 4], 'received_ms', ARGV[at + 5],
    'bytes', bytes)
  size = size + bytes
  if ARGV[4] == '1' then
    counted[feed .. ':received'] = (counted[feed .. ':received'] or 0) + 1
    counted[feed .. ':rejected:' .. reason] = (counted[feed .. ':rejected:' .. reason] or 0) + 1
    redis.call('HSET', KEYS[2], feed .. ':last_ms', ARGV[at + 5])
  end
end
-- The oldest go first. What a reader has deleted by itself is not in `size` any more.
while size > most do
  local oldest = redis.call('XRANGE', KEYS[3], '-', '+', 'COUNT', 100)
  if #oldest == 0 then size = 0 break end
  local gone = {}
  for _, entry in ipairs(oldest) do
    if size <= most then break end
    size = size - tonumber(entry[2][#entry[2]])
    gone[#gone + 1] = entry[1]
  end
  redis.call('XDEL', KEYS[3], unpack(gone))
end
redis.call('SET', KEYS[5], size)
for name, by in pairs(counted) do redis.call('HINCRBY', KEYS[2], name, by) end
if ARGV[5] ~= '' then redis.call('HSET', KEYS[4], ring, ARGV[5]) end
local highest = math.max(number, tonumber(redis.call('HGET', KEYS[1], worker) or number)) -- as in commit.lua
redis.call('HSET', KEYS[1], worker, string.format('%d', highest), ring, ARGV[2] .. ':')
return #ARGV
