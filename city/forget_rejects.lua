-- Deletes rejects and takes their bytes off the stream's size.
--
-- KEYS: rejects, rejects_size
-- ARGV: entry ids
-- Returns how many were there.
local gone, bytes = 0, 0
for _, id in ipairs(ARGV) do
  local found = redis.call('XRANGE', KEYS[1], id, id)
  if #found > 0 then
    bytes = bytes + tonumber(found[1][2][#found[1][2]])
    gone = gone + redis.call('XDEL', KEYS[1], id)
  end
end
if gone > 0 then redis.call('SET', KEYS[2], math.max(0, tonumber(redis.call('GET', KEYS[2]) or '0') - bytes)) end
return gone
