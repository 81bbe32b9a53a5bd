-- Return id, text and 1 of each consumer; 0 instead of 1 for one that has applied a revision of another history.
--
-- KEYS  consumers, changes, revision

local consumers, changes, revision = unpack(KEYS)
local present = tonumber(redis.call('GET', revision) or '0')
local found = {}
local all = redis.call('HGETALL', consumers)
for place = 1, #all, 2 do
  local id, text = all[place], all[place + 1]
  local agrees = 1
  local mark = string.match(text, '"mark"%s*:%s*"([^"]+)"')
  local applied = string.match(text, '"applied"%s*:%s*(%d+)')
  -- A number that no stream has an id for is for the reader to turn down.
  if mark and applied and #applied <= 18 then
    local entry = redis.call('XRANGE', changes, applied .. '-0', applied .. '-0')[1]
    if entry then
      local known = entry[2][12]  -- the last of the fields that a commit writes
      agrees = (known == '' or known == mark) and 1 or 0
    elseif tonumber(applied) > present then
      agrees = 0
    end
  end
  table.insert(found, {id, text, agrees})
end
return found
