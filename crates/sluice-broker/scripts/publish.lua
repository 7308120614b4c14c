-- Appends an event to a topic's log and announces it on the topic's live channel, as one step.
--
--   redis-cli --eval publish.lua 'sluice:{orders}:log' , '{"id":1}' order.created
--
-- KEYS[1]  the log, <prefix>:{<topic>}:log; the live channel is the same name ending in :live
-- KEYS[2]  optional: the idempotency record, <prefix>:{<topic>}:once:<key>
--
-- ARGV, of which all but the first may be missing or empty:
--   [1] data         the payload, UTF-8
--   [2] type         the event's type, at most 200 bytes without control characters
--   [3] traceparent  the W3C trace context to carry along
--   [4] events max   trim the log to about so many events (MAXLEN ~)
--   [5] age max      trim events older than so many milliseconds, about (MINID ~)
--   [6] idle max     forget the whole log when nothing is published for so many milliseconds
--   [7] window       how long KEYS[2] is remembered, in milliseconds; 300000 if not said
--   [8] announce     PUBLISH or SPUBLISH; if not said, SPUBLISH where cluster mode is enabled
--   [9] not before   milliseconds since the epoch: where this server's clock is behind that, by a minute at most,
--                    the id is of that moment. Whoever published to another primary, whose clock was ahead and
--                    whose last events are lost, says so that none of their ids is given again.
--
-- Without [4], [5] and [6] nothing is trimmed and nothing expires.
-- Returns {id, repeated}: repeated is 1 when KEYS[2] was known, in which case nothing was appended. With [9] the
-- answer has a third part, this server's clock in milliseconds.

local log, once = KEYS[1], KEYS[2]

local function given(n)
  local value = ARGV[n]
  if value ~= nil and value ~= '' then return value end
end

if not log or log:sub(-4) ~= ':log' then
  return redis.error_reply('SLUICE the first key must be the log of a topic, <prefix>:{<topic>}:log')
end
if ARGV[1] == nil then
  return redis.error_reply('SLUICE the first argument must be the data of the event')
end

local function ms_of(entry) return tonumber(entry:match('^%d+')) end
local function clock_ms()
  local time = redis.call('TIME')
  return tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end
local not_before, now_ms = given(9), nil
if not_before then not_before, now_ms = tonumber(not_before), clock_ms() end

local window = given(7) or '300000'
if once then
  local first = redis.call('GET', once)
  if first then
    -- A write, so that a WAIT after a retry has something to wait for.
    redis.call('PEXPIRE', once, window)
    return {first, 1, now_ms}
  end
end

local kind, trace = given(2), given(3)
if kind and (kind:find('%c') or kind:find('\194[\128-\159]') or #kind > 200) then
  return redis.error_reply('SLUICE the type must have at most 200 bytes and no control characters')
end

local prev, oldest = '0-0', nil
if redis.call('EXISTS', log) == 1 then
  local info = redis.call('XINFO', 'STREAM', log)
  for i = 1, #info, 2 do
    if info[i] == 'last-generated-id' then
      prev = info[i + 1]
    elseif info[i] == 'first-entry' then
      oldest = info[i + 1] and info[i + 1][1]
    end
  end
end

local add = {'XADD', log}
if given(4) then
  add[3], add[4], add[5] = 'MAXLEN', '~', ARGV[4]
end
if not_before and not_before > now_ms and not_before <= now_ms + 60000 and not_before > ms_of(prev) then
  add[#add + 1] = string.format('%.0f-*', not_before)
else
  add[#add + 1] = '*'
end
add[#add + 1] = 'data'
add[#add + 1] = ARGV[1]
add[#add + 1] = 'prev'
add[#add + 1] = prev
if kind then
  add[#add + 1] = 'type'
  add[#add + 1] = kind
end
if trace then
  add[#add + 1] = 'tp'
  add[#add + 1] = trace
end
local id = redis.call(unpack(add))

-- XADD takes one way to trim, so trimming by age is a command of its own, sent only when something is old.
local age_max = given(5)
if age_max and oldest and ms_of(oldest) < ms_of(id) - tonumber(age_max) then
  -- By the clock, not by the new id: one id from the future must not empty the log.
  redis.call('XTRIM', log, 'MINID', '~', string.format('%.0f', math.max((now_ms or clock_ms()) - tonumber(age_max), 0)))
end
if given(6) then
  redis.call('PEXPIRE', log, ARGV[6])
end
if once then
  redis.call('SET', once, id, 'PX', window)
end

local function encoded(value)
  return (value:gsub('[^%w%._~:/@-]', function(c) return string.format('%%%02X', c:byte()) end))
end

local header = '\1v=1 id=' .. id .. ' prev=' .. prev
if kind then header = header .. ' type=' .. encoded(kind) end
if trace then header = header .. ' tp=' .. encoded(trace) end

local announce = given(8)
if not announce then
  -- The cheapest question that only a cluster answers.
  local slot = redis.pcall('CLUSTER', 'KEYSLOT', log)
  announce = type(slot) == 'number' and 'SPUBLISH' or 'PUBLISH'
end
redis.call(announce, log:sub(1, -5) .. ':live', header .. '\n' .. ARGV[1])

return {id, 0, now_ms}
