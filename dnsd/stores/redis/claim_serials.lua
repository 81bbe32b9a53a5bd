-- Give each claim a serial, by the rule of dnsd/stores/claims.py.
--
-- KEYS  serials
-- ARGV  zone, digest, at least, first, known (or nothing), and 1 for anew or 0, for each claim
--
-- Answers the serials, in the order of the claims, or {"value", text}: what is kept of a zone cannot be read, and nothing
-- was written.

local serials = KEYS[1]
local SERIALS, HALF = 4294967296, 2147483648

local function is_newer(serial, than)
  local ahead = (serial - than) % SERIALS
  return ahead > 0 and ahead < HALF
end

local function given_by_store(serial)
  return (serial + serial % 2) % SERIALS
end

-- All are read before the first is written; a zone that is claimed twice is seen as it was left by the first claim.
local kept = {}
for place = 1, #ARGV, 6 do
  local zone = ARGV[place]
  local text = redis.call('HGET', serials, zone)
  if text then
    local serial = tonumber(string.match(text, '"serial"%s*:%s*(%d+)') or '')
    local digest = string.match(text, '"digest"%s*:%s*"(%x+)"')
    if not serial or serial >= SERIALS or not digest then
      return {'value', text}
    end
    kept[zone] = {serial, digest}
  end
end

local given = {}
for place = 1, #ARGV, 6 do
  local zone, digest, at_least, first, known, anew = unpack(ARGV, place, place + 5)
  local before = kept[zone]
  local serial
  if not before then
    serial = given_by_store(tonumber(first))
  else
    local lost = known ~= '' and is_newer(tonumber(known), before[1])
    local wanted = tonumber(lost and first or at_least)
    if anew == '0' and before[2] == digest and not is_newer(wanted, before[1]) then
      serial = before[1]
    else
      serial = (before[1] + 1) % SERIALS
      if is_newer(wanted, serial) and is_newer(wanted, before[1]) then
        serial = wanted
      end
      serial = given_by_store(serial)
    end
  end
  if not before or before[1] ~= serial or before[2] ~= digest then
    kept[zone] = {serial, digest}
    redis.call('HSET', serials, zone, string.format('{"serial":%.0f,"digest":"%s"}', serial, digest))
  end
  table.insert(given, string.format('%.0f', serial))
end
return given
