-- Take a commit if it was decided on the present revision: state, change stream and history in one step.
--
-- KEYS  schema, revision, drains, nodes, changes, history, history-of-nodes, restorations
-- ARGV  the instant by which it must have come, in milliseconds of this server's clock; the schema, the expected revision
--       and its mark (or nothing), the revision that it leads to, instant, mark, how many changes and how many entries of
--       history to keep, revision and mark of the state that it restores (or nothing), how many restorations to keep, the
--       number of packets with changes,
--       then packets with revision, entity, key and value for each change,
--       then packets with id, node and text for each entry of history
--
-- A packet is a JSON list of words: hundreds of thousands of single words would take both sides longer.
--
-- Answers {"done"}, {"late"}, {"conflict", revision}, {"schema", found} or {"type", key, found}. All but the first have
-- written nothing; nor has a commit that fails at its first write, as for want of memory.

local schema, revision, drains, nodes, changes, history, history_of_nodes, restorations = unpack(KEYS)
local now = redis.call('TIME')
if now[1] * 1000 + now[2] / 1000 > tonumber(ARGV[1]) then
  return {'late'}
end

local types = {'string', 'string', 'hash', 'hash', 'stream', 'stream', 'zset', 'stream'}
for place, key in ipairs(KEYS) do
  local found = redis.call('TYPE', key).ok
  if found ~= 'none' and found ~= types[place] then
    return {'type', key, found}
  end
end

local version = redis.call('GET', schema)
local present = redis.call('GET', revision) or '0'
if version and version ~= ARGV[2] then
  return {'schema', version}
end
if present ~= ARGV[3] then
  return {'conflict', present}
end
-- The number alone does not tell a history from another one that the store has come to after it lost writes.
if ARGV[4] ~= '' then
  local last = redis.call('XRANGE', changes, present .. '-0', present .. '-0')[1]
  local known = last and last[2][12] or ''
  if known ~= '' and known ~= ARGV[4] then
    return {'conflict', present}
  end
end

local becomes, at, mark = ARGV[5], ARGV[6], ARGV[7]
local changes_kept, history_kept, known, known_mark = tonumber(ARGV[8]), tonumber(ARGV[9]), ARGV[10], ARGV[11]
local restorations_kept, packets, first = tonumber(ARGV[12]), tonumber(ARGV[13]), 14

local function take_change(made, entity, key, value)
  redis.call('XADD', changes, 'MAXLEN', changes_kept, made .. '-0',
    'revision', made, 'at', at, 'entity', entity, 'key', key, 'value', value, 'mark', mark)
  local hash = entity == 'drain' and drains or nodes
  if value == '' then
    redis.call('HDEL', hash, key)
  else
    redis.call('HSET', hash, key, value)
  end
end

for number = first, first + packets - 1 do
  local words = cjson.decode(ARGV[number])
  for place = 1, #words, 4 do
    take_change(unpack(words, place, place + 3))
  end
end
redis.call('SET', revision, becomes)
if known ~= '' then
  redis.call('XADD', restorations, 'MAXLEN', restorations_kept, '*',
    'known', known, 'known_mark', known_mark, 'to', becomes, 'mark', mark)
end
if not version then
  redis.call('SET', schema, ARGV[2])
end

-- The index of nodes has members that sort as their entries do: NODE/REVISION-NUMBER, with leading zeros.
local function member(node, id)
  local major, minor = string.match(id, '^(%d+)-(%d+)$')
  return node .. '/' .. string.rep('0', 20 - #major) .. major .. '-' .. string.rep('0', 7 - #minor) .. minor
end

local function take_entry(id, node, text)
  -- Where history is further than the revision, since keys were removed by hand, it goes on from where it is.
  if redis.pcall('XADD', history, id, 'node', node, 'entry', text).err then
    id = redis.call('XADD', history, '*', 'node', node, 'entry', text)
  end
  redis.call('ZADD', history_of_nodes, 0, member(node, id))
end

for number = first + packets, #ARGV do
  local words = cjson.decode(ARGV[number])
  for place = 1, #words, 3 do
    take_entry(unpack(words, place, place + 2))
  end
end
local surplus = redis.call('XLEN', history) - history_kept
if surplus > 0 then
  for _, entry in ipairs(redis.call('XRANGE', history, '-', '+', 'COUNT', surplus)) do
    redis.call('XDEL', history, entry[1])
    redis.call('ZREM', history_of_nodes, member(entry[2][2], entry[1]))
  end
end
return {'done'}
