-- Run commands one after the other with nothing between them, and return what each of them answered.
--
-- KEYS  the keys that the commands name
-- ARGV  for each command: how many words it has, then its words
--
-- It stands in for MULTI and EXEC, which a server that is out of memory refuses even for commands that only read.

local answers = {}
local place = 1
while place <= #ARGV do
  local size = tonumber(ARGV[place])
  table.insert(answers, redis.call(unpack(ARGV, place + 1, place + size)))
  place = place + size + 1
end
return answers
