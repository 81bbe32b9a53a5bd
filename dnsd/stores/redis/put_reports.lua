-- Keep each report whose sequence is higher than the kept one's, and say which nodes have reported.
--
-- KEYS  reports, reported
-- ARGV  how many entries of the second to keep, then node, sequence and text for each report

local reports, reported = unpack(KEYS)

-- Sequences have up to 63 bits, more than a number of Lua holds: compared as digits.
local function is_higher(one, other)
  return #one > #other or (#one == #other and one > other)
end

local nodes = {}
for place = 2, #ARGV, 3 do
  local node, sequence, text = unpack(ARGV, place, place + 2)
  local kept = redis.call('HGET', reports, node)
  local before = kept and string.match(kept, '"sequence"%s*:%s*(%d+)')
  if not before or is_higher(sequence, before) then
    redis.call('HSET', reports, node, text)
    table.insert(nodes, node)
  end
end
if #nodes > 0 then
  redis.call('XADD', reported, 'MAXLEN', '~', ARGV[1], '*', 'nodes', table.concat(nodes, ' '))
end
return #nodes
