-- The present shift as it is to be, and the hand-over that closed the one before: both or neither.
-- KEYS: the present shift, the hand-overs. ARGV: the shift as its writer knew it ('' if there was none), the shift as it
-- is to be, number and JSON of the hand-over ('' where there is none).
-- Returns 1 when it is written, also when it was before; 0 where somebody else was first: nothing is written then.
local stored = redis.call('GET', KEYS[1]) or ''
if stored == ARGV[2] then return 1 end
if stored ~= ARGV[1] then return 0 end
-- Numbers only grow: the stream itself refuses a second hand-over of the same number.
if ARGV[3] ~= '' then redis.call('XADD', KEYS[2], ARGV[3] .. '-0', 'handover', ARGV[4]) end
redis.call('SET', KEYS[1], ARGV[2])
return 1
