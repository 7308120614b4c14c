-- Appends an event to a topic's log and announces it on the topic's live channel, as one step.
--
--   redis-cli --eval publish.lua 'sluice:{orders}:log' , '{"id":1}' order.created
--
-- KEYS[1]  the log, <prefix>:{<topic>}:log; the live channel is the same name ending in :live
-- KEYS[2]  optional: the idempotency record, <prefix>:{<topic>}:once:<key>
-- KEYS[3]  optional: where a release that kept no digest would have put KEYS[2]; read, never written
--
-- ARGV, of which all but the first may be missing or empty:
--   [1] data         the payload, UTF-8
--   [2] type         the event's type: at most 200 bytes of UTF-8 without control characters, not sluice.*
--   [3] traceparent  the W3C trace context to carry along: at most 256 printable ASCII characters
--   [4] events max   trim the log to about so many events (MAXLEN ~); 0 is no limit
--   [5] age max      trim events older than so many milliseconds, about (MINID ~), and let the log expire with its
--                    newest event; 0 is no limit
--   [6] idle max     let the log expire when nothing is published for so many milliseconds; 0 is never. A log expires
--                    by the shorter of [5] and [6], up to a hundredth of it later (at most a minute).
--   [7] window       how long KEYS[2] is remembered, in milliseconds; 300000 if not given
--   [8] announce     PUBLISH or SPUBLISH; if not given, SPUBLISH where cluster mode is enabled
--   [9] not before   milliseconds since the epoch: where this server's clock is behind that, by a minute at most,
--                    the id is of that moment. Whoever published to another primary, whose clock was ahead and
--                    whose last events are lost, says so that none of their ids is given again.
--   [10] checked     1 if the caller knows that the data is UTF-8, as a publisher does; otherwise it is checked here
--
-- Without [4], [5] and [6] nothing is trimmed and nothing expires.
--
-- Returns {id, repeated}: repeated is 1 when KEYS[2] was known, in which case nothing was appended. With [9] the answer
-- has two more parts: this server's clock in milliseconds, and a list of what is to be reported, usually empty:
--   last-id-ahead    the log's last id before this event was more than a minute ahead of the clock. The event was
--                    appended behind it; its true time is in the entry's field `at`, by which it is trimmed by age.
--   not-announced    the live channel refused the announcement; nodes find the event when they compare the log
--   not-trimmed, not-expiring, not-remembered    what [5], [6] and KEYS[2] ask for was refused
--
-- An error means that nothing was appended. Arguments are checked before anything is written. The codes are SLUICE, and
-- KEYREUSED when KEYS[2] belongs to an event with another type or other data.

-- How far ahead of the clock an id may be, in milliseconds, and still be taken for a time. Argument [9] stays within it.
local CLOCK_SLACK_MS = 60000
-- How much later than its newest event a log may expire; a hundredth of its age at most.
local EXPIRY_SLACK_MS = 60000
local TYPE_BYTES_MAX = 200
local TRACE_BYTES_MAX = 256
local TOPIC_BYTES_MAX = 200
local KEY_BYTES_MAX = 256
local ARGUMENTS_MAX = 10
-- How many events without a trusted id one call trims by age.
local UNTRUSTED_TRIMMED_MAX = 16
-- The record of an earlier log is kept for twice as long as the log, at least this long; where logs do not expire, a week.
local PAST_KEPT_MS_MIN, PAST_KEPT_MS_DEFAULT = 3600000, 604800000
-- How exact the record is: a hundredth of the log's age, within these bounds.
local PAST_SPAN_MS_MIN, PAST_SPAN_MS_MAX = 1000, 60000
local LAST_POSSIBLE_ID = '18446744073709551615-18446744073709551615'

local function refuse(why) error(redis.error_reply('SLUICE ' .. why)) end

local function given(n)
  local value = ARGV[n]
  if value ~= nil and value ~= '' then return value end
end

-- Argument n as a whole number; nil where it is missing or 0.
local function number(n, what)
  local value = given(n)
  if not value then return nil end
  if value == '0' then return nil end
  if #value > 15 or not value:find('^[1-9]%d*$') then
    refuse('argument ' .. n .. ' (' .. what .. ') must be a whole number of at most 15 digits')
  end
  return tonumber(value)
end

-- A character that is not ASCII, with all continuation bytes that follow it: whether it is UTF-8 (RFC 3629).
local function is_character(bytes)
  local first, second = bytes:byte(1, 2)
  if #bytes == 2 then return first >= 0xC2 and first <= 0xDF end
  if #bytes == 3 then
    return first == 0xE0 and second >= 0xA0
        or first == 0xED and second <= 0x9F
        or first >= 0xE1 and first <= 0xEF and first ~= 0xED
  end
  return #bytes == 4 and (first == 0xF0 and second >= 0x90
      or first == 0xF4 and second <= 0x8F
      or first >= 0xF1 and first <= 0xF3)
end

local function is_utf8(text)
  -- Texts repeat their characters, so each is looked at once.
  local known = {}
  for bytes in text:gmatch('[\128-\255][\128-\191]*') do
    if not known[bytes] then
      if not is_character(bytes) then return false end
      known[bytes] = true
    end
  end
  return true
end

-- The event and what is to become of it, from the arguments. Writes nothing.
local function read_arguments()
  if #KEYS > 3 or #ARGV > ARGUMENTS_MAX then
    refuse('takes 1 to 3 keys and at most ' .. ARGUMENTS_MAX .. ' arguments')
  end
  local log = KEYS[1] or ''
  local base, topic = log:match('^([!-z|~]+:{([%w._~:@/-]+)}):log$')
  if not base or #base - #topic > 67 then
    refuse('the first key must be the log of a topic, <prefix>:{<topic>}:log')
  end
  local segments = '/' .. topic .. '/'
  if #topic > TOPIC_BYTES_MAX or segments:find('//', 1, true) or segments:find('/./', 1, true)
      or segments:find('/../', 1, true) then
    refuse('the topic must have at most 200 characters and no segment that is empty, "." or ".."')
  end
  for n = 2, 3 do
    local key = KEYS[n] and KEYS[n]:sub(#base + 1):match('^:once:([!-z|~]+)$')
    if KEYS[n] and (KEYS[n]:sub(1, #base) ~= base or not key or #key > KEY_BYTES_MAX) then
      refuse('key ' .. n .. ' must be an idempotency record of the same topic, <prefix>:{<topic>}:once:<key>')
    end
  end

  local data, kind, trace = ARGV[1], given(2), given(3)
  if data == nil then refuse('the first argument must be the data of the event') end
  local checked = given(10)
  if checked and checked ~= '0' and checked ~= '1' then refuse('argument 10 (checked) must be 0 or 1') end
  if checked ~= '1' and not is_utf8(data) then refuse('the data must be UTF-8') end
  if kind then
    if kind:find('%c') or kind:find('\194[\128-\159]') or #kind > TYPE_BYTES_MAX or not is_utf8(kind) then
      refuse('the type must have at most 200 bytes of UTF-8 and no control characters')
    end
    if kind:sub(1, 7) == 'sluice.' then
      refuse('the type is reserved: types that begin with sluice. belong to Sluice')
    end
  end
  if trace and (#trace > TRACE_BYTES_MAX or trace:find('[^ -~]')) then
    refuse('the traceparent must have at most 256 printable ASCII characters')
  end

  local announce = given(8)
  if announce and announce ~= 'PUBLISH' and announce ~= 'SPUBLISH' then
    refuse('argument 8 (announce) must be PUBLISH or SPUBLISH')
  end
  if given(7) and not number(7, 'window') then refuse('argument 7 (window) must be at least 1 ms') end
  return {
    log = log, live = base .. ':live', past = base .. ':past', once = KEYS[2], once_before = KEYS[3],
    data = data, kind = kind, trace = trace,
    events_max = number(4, 'events max'), age_max = number(5, 'age max'), idle_max = number(6, 'idle max'),
    window = given(7) or '300000', announce = announce,
    not_before = number(9, 'not before') or 0, tells_clock = given(9) ~= nil,
  }
end

local function ms_of(id) return tonumber(id:match('^%d+')) end

local function clock_ms()
  local time = redis.call('TIME')
  return tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end

local function is_error(answer) return type(answer) == 'table' and answer.err ~= nil end

-- The id and the digest that an idempotency record holds; releases before this kept the id alone.
local function read_record(key)
  local record = redis.call('GET', key)
  if not record then return nil end
  local id, digest = record:match('^(%d+%-%d+) ?(%x*)$')
  if not id then refuse('the idempotency record holds something else: ' .. key) end
  return id, digest
end

-- The id of the event that the key made before, if there is one.
local function repeated(event)
  local id, digest = read_record(event.once)
  if id and digest ~= '' and digest ~= event.digest then
    error(redis.error_reply('KEYREUSED the idempotency key belongs to event ' .. id .. ', whose type or data differ'))
  end
  if not id and event.once_before and event.once_before ~= event.once then
    id, digest = read_record(event.once_before)
    -- With a digest it was made by somebody who meant that very name.
    if digest ~= '' then id = nil end
  end
  return id
end

-- The last id that the log gave, its oldest entry, and in how many milliseconds it expires: -1 if it does not, nil if that
-- may not be asked.
local function head_of(log)
  local last, oldest = '0-0', nil
  local expires_ms = redis.pcall('PTTL', log)
  if is_error(expires_ms) then
    -- A user whose rights are those of an earlier release.
    if redis.call('EXISTS', log) == 0 then return last, oldest, nil end
    expires_ms = nil
  elseif expires_ms == -2 then
    return last, oldest, -1
  end
  local info = redis.call('XINFO', 'STREAM', log)
  for i = 1, #info, 2 do
    if info[i] == 'last-generated-id' then
      last = info[i + 1]
    elseif info[i] == 'first-entry' then
      oldest = info[i + 1] or nil
    end
  end
  return last, oldest, expires_ms
end

-- What the first entry of a log has as its `prev`: the moment until which an earlier log of the topic had entries, so that
-- the new log does not hide what was missed of the old one; 0-0 where nothing is known of one.
local function prev_of_first(event, now_ms)
  local ended = redis.pcall('GET', event.past)
  local ended_ms = type(ended) == 'string' and ended:find('^%d+$') and #ended <= 15 and tonumber(ended)
  if not ended_ms then return '0-0' end
  return string.format('%.0f-18446744073709551615', math.min(ended_ms, now_ms - 1))
end

-- Keeps the record of this log that outlives it, when it begins and when its last event came in another span of time, so
-- that most events do not pay for it. A user without rights to it loses it and nothing else.
local function remember(event, prev, begins, is_ahead, now_ms)
  local longest = math.max(event.age_max or 0, event.idle_max or 0)
  local shortest = math.min(event.age_max or longest, event.idle_max or longest)
  local span = longest == 0 and PAST_SPAN_MS_MAX
      or math.max(PAST_SPAN_MS_MIN, math.min(PAST_SPAN_MS_MAX, math.floor(shortest / 100)))
  local function span_of(ms) return math.floor(ms / span) end
  if begins or is_ahead or span_of(ms_of(prev)) ~= span_of(now_ms) then
    local kept = longest == 0 and PAST_KEPT_MS_DEFAULT or math.max(2 * longest, PAST_KEPT_MS_MIN)
    local until_ms = (span_of(now_ms) + 1) * span
    redis.pcall('SET', event.past, string.format('%.0f', until_ms), 'PX', string.format('%.0f', kept))
  end
end

-- Appends the event behind `prev`; its id.
local function append(event, prev, now_ms, is_ahead)
  local add = {'XADD', event.log}
  if event.events_max then
    add[3], add[4], add[5] = 'MAXLEN', '~', ARGV[4]
  end
  local not_before = event.not_before
  if not_before > now_ms and not_before <= now_ms + CLOCK_SLACK_MS and not_before > ms_of(prev) then
    add[#add + 1] = string.format('%.0f-*', not_before)
  else
    add[#add + 1] = '*'
  end
  local function field(name, value)
    if value then add[#add + 1], add[#add + 2] = name, value end
  end
  field('data', event.data)
  field('prev', prev)
  field('type', event.kind)
  field('tp', event.trace)
  field('at', is_ahead and string.format('%.0f', now_ms))
  return redis.call(unpack(add))
end

-- When an entry was appended: by its id, or, where that is too far ahead to be a time, by its field `at`. nil where
-- neither tells.
local function time_of(entry, now_ms)
  local by_id = ms_of(entry[1])
  if by_id <= now_ms + CLOCK_SLACK_MS then return by_id end
  local fields = entry[2]
  for i = 1, #fields, 2 do
    if fields[i] == 'at' then return tonumber(fields[i + 1]) end
  end
end

-- Trims what is older than `limit_ms` from a log whose oldest ids are not times: one entry after the other. An entry that
-- tells no time goes with the next one.
local function trim_untrusted(log, limit_ms, now_ms)
  for _ = 1, UNTRUSTED_TRIMMED_MAX do
    local front = redis.pcall('XRANGE', log, '-', '+', 'COUNT', 2)
    if is_error(front) then return front end
    if #front < 2 then return end
    local time = time_of(front[1], now_ms) or time_of(front[2], now_ms)
    if not time or time >= limit_ms then return end
    local trimmed = redis.pcall('XTRIM', log, 'MINID', '=', front[2][1])
    if is_error(trimmed) then return trimmed end
  end
end

-- XADD takes one way to trim, so trimming by age is a command of its own, sent only when something is old.
local function trim_by_age(event, oldest, now_ms)
  local limit_ms = math.max(now_ms - event.age_max, 0)
  if ms_of(oldest[1]) > now_ms + CLOCK_SLACK_MS then
    local time = time_of(oldest, now_ms)
    if time and time >= limit_ms then return end
    return trim_untrusted(event.log, limit_ms, now_ms)
  end
  if ms_of(oldest[1]) < limit_ms then
    return redis.pcall('XTRIM', event.log, 'MINID', '~', string.format('%.0f', limit_ms))
  end
end

local function encoded(value)
  return (value:gsub('[^%w%._~:/@-]', function(c) return string.format('%%%02X', c:byte()) end))
end

local function announce(event, id, prev)
  local header = '\1v=1 id=' .. id .. ' prev=' .. prev
  if event.kind then header = header .. ' type=' .. encoded(event.kind) end
  if event.trace then header = header .. ' tp=' .. encoded(event.trace) end
  return redis.pcall(event.announce, event.live, header .. '\n' .. event.data)
end

-- Lets the log expire with its newest event, or a little later, so that not every event must say so again.
local function expire(event, expires_ms)
  local wanted_ms = event.age_max
  if event.idle_max and event.idle_max < (wanted_ms or math.huge) then wanted_ms = event.idle_max end
  if not wanted_ms then return end
  local latest_ms = wanted_ms + math.min(math.floor(wanted_ms / 100), EXPIRY_SLACK_MS)
  if not expires_ms or expires_ms < wanted_ms or expires_ms > latest_ms then
    return redis.pcall('PEXPIRE', event.log, string.format('%.0f', latest_ms))
  end
end

-- Everything that may be refused once the event is in the log: its answer is not an error any more.
local function finish(event, id, prev, oldest, expires_ms, now_ms, report)
  local function note(what, answer)
    if is_error(answer) then report[#report + 1] = what end
  end
  if event.age_max and oldest then note('not-trimmed', trim_by_age(event, oldest, now_ms)) end
  note('not-expiring', expire(event, expires_ms))
  if event.once then
    local record = id .. ' ' .. event.digest
    note('not-remembered', redis.pcall('SET', event.once, record, 'PX', event.window))
  end
  note('not-announced', announce(event, id, prev))
end

local event = read_arguments()
local now_ms, report = clock_ms(), {}

local function answer(id, was_repeated)
  if event.tells_clock then return {id, was_repeated, now_ms, report} end
  return {id, was_repeated}
end

if event.once then
  -- Type and data are what an event is; a type holds no control character, so this is one text for each pair.
  event.digest = redis.sha1hex((event.kind or '') .. '\n' .. event.data)
  local first = repeated(event)
  if first then
    -- A write, so that a WAIT after a retry has something to wait for.
    redis.pcall('PEXPIRE', event.once, event.window)
    return answer(first, 1)
  end
  -- Changes nothing, but is refused now where it would be refused once the event is in the log.
  redis.call('SET', event.once, '', 'XX', 'PX', '1')
end

if not event.announce then
  -- The cheapest question that only a cluster answers.
  local slot = redis.pcall('CLUSTER', 'KEYSLOT', event.log)
  event.announce = type(slot) == 'number' and 'SPUBLISH' or 'PUBLISH'
end

local prev, oldest, expires_ms = head_of(event.log)
if prev == LAST_POSSIBLE_ID then
  refuse('the log has given its last possible id; delete or rename it: ' .. event.log)
end
local begins = prev == '0-0'
if begins then prev = prev_of_first(event, now_ms) end
local is_ahead = ms_of(prev) > now_ms + CLOCK_SLACK_MS
if is_ahead then report[1] = 'last-id-ahead' end
local id = append(event, prev, now_ms, is_ahead)
remember(event, prev, begins, is_ahead, now_ms)
finish(event, id, prev, oldest, expires_ms, now_ms, report)
return answer(id, 0)
