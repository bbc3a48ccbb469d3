-- One systemic problem as it is to be, and the line of its history: both or neither.
-- KEYS: the problems, their log. ARGV: id, the problem as its writer knew it ('' if it was not there), as it is to be,
-- the line.
-- Returns 1 when it is written, also when it was before; 0 where somebody else was first: nothing is written then.
local stored = redis.call('HGET', KEYS[1], ARGV[1]) or ''
if stored == ARGV[3] then return 1 end
if stored ~= ARGV[2] then return 0 end
redis.call('XADD', KEYS[2], '*', 'problem', ARGV[1], 'entry', ARGV[4])
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
return 1
