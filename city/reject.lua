-- Writes a batch's rejects and their counters once, whatever number of times it is sent.
--
-- KEYS: batches, counts, rejects
-- ARGV: worker, batch number, rejects to keep, count them (1 or 0), then for each reject:
--       feed, reason, detail, topic, payload, received_ms
local worker, number = ARGV[1], tonumber(ARGV[2])
if number <= tonumber(redis.call('HGET', KEYS[1], worker) or '-1') then return 0 end
local counted = {}
for at = 5, #ARGV, 6 do
  local feed, reason = ARGV[at], ARGV[at + 1]
  redis.call('XADD', KEYS[3], 'MAXLEN', '~', ARGV[3], '*', 'feed', feed, 'reason', reason,
    'detail', ARGV[at + 2], 'topic', ARGV[at + 3], 'payload', ARGV[at + 4], 'received_ms', ARGV[at + 5])
  if ARGV[4] == '1' then
    counted[feed .. ':received'] = (counted[feed .. ':received'] or 0) + 1
    counted[feed .. ':rejected:' .. reason] = (counted[feed .. ':rejected:' .. reason] or 0) + 1
    redis.call('HSET', KEYS[2], feed .. ':last_ms', ARGV[at + 5])
  end
end
for name, by in pairs(counted) do redis.call('HINCRBY', KEYS[2], name, by) end
redis.call('HSET', KEYS[1], worker, ARGV[2])
return #ARGV
