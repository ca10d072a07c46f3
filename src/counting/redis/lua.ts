/** The script that answers all asks of one call in one step of Redis. Its algorithms are those of `../algorithms.ts`. */
import { createHash } from 'node:crypto';

/**
 * KEYS: the counter of each ask, then the mark of each idempotency key.
 *
 * | ARGV | |
 * |---|---|
 * | 1 | the time in ms, or '' for the time of Redis |
 * | then for each ask: 1 | algorithm: f(ixed), g(cra), s(liding), l(og), c(oncurrency), w(indow) |
 * | 2 | verb: spend, part (a partial spend), look, giveBack, release, owe |
 * | 3 | cost |
 * | 4, 5 | limit, burst |
 * | 6 | period in ms; of a window, how long the key is kept |
 * | 7 | place of its mark in KEYS, or 0; of a log, its owner, or - |
 * | 8 | end of the window in ms, or 0 |
 *
 * | counter | value in Redis |
 * |---|---|
 * | fixed | END USED |
 * | sliding | END-OF-NEXT USED USED-BEFORE |
 * | gcra | ARRIVAL-TIME ROUNDED-UP:AHEAD: in whole milliseconds, what rounding added, how far it was ahead when it was written |
 * | log | LAST UNTIL:COST:OWNER,... |
 * | window | USED, as INCRBY keeps it |
 * | mark | until when it counts |
 *
 * A key lives 2 s longer than it counts, for clocks that differ. A time further ahead than any charge could set it comes from a clock that
 * was set back since: the counter is over. A debt is as far ahead; AHEAD tells them apart. Writes nothing if one ask is refused.
 *
 * Reply, for each ask: granted (1 or 0), remaining, reset in ms, charged (-1: all of the cost; numbers that leave a script have no
 * fractions), end of its window in ms, used (of a window).
 */
export const SCRIPT = `
local MAX_MS = 1e15 -- the longest expiry that Redis takes; some 30 000 years
local MAX_DEBT_PERIODS = 10
local HELD_LONGER_MS = 2000
local now = tonumber(ARGV[1])
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000 + math.floor(time[2] / 1000)
end
local function exact(number) return string.format('%.17g', number) end

local fixed, window, gcra, sliding, log = {}, {}, {}, {}, {}

function fixed.read(value)
  local ends, used = string.match(value, '^(%S+) ?(%S*)')
  return { ends = tonumber(ends) or 0, used = tonumber(used) or 0 }
end
function fixed.write(state) return exact(state.ends) .. ' ' .. exact(state.used) end
function fixed.ask(state, ask)
  local ends, used = state.ends, state.used
  if ask.change < 0 and ask.ends > 0 and ask.ends <= now then
    if ends <= now or used == 0 then return true, ask.limit, 0, state end
    return true, math.max(0, ask.limit - used), ends - now, state
  end
  local current = ask.ends > 0 and ask.ends or (math.floor(now / ask.per) + 1) * ask.per
  if ends < current or ask.ends == 0 and ends > now + 2 * ask.per then ends, used = current, 0 end
  local granted = ask.forced or used + ask.change <= ask.limit
  if granted and not (ask.change < 0 and ask.ends > 0 and ends > ask.ends) then used = math.max(0, used + ask.change) end
  return granted, math.max(0, ask.limit - used), math.max(granted and 0 or 1, ends - now), { ends = ends, used = used }
end

function window.read(value) return { ends = MAX_MS, used = tonumber(value) or 0 } end
function window.ask(state, ask)
  local used = state.used
  local granted = ask.forced or used + ask.change <= ask.limit
  if granted and used + ask.change >= 0 then used = used + ask.change end
  local reset = math.max(granted and 0 or 1, ask.ends - now)
  return granted, math.max(0, ask.limit - used), reset, { ends = MAX_MS, used = used }
end

function gcra.read(value)
  local ends, rounded, whole = string.match(value, '^(%S+) ?([^:]*):?(%S*)$')
  return { ends = tonumber(ends) or 0, rounded = tonumber(rounded) or 0, whole = tonumber(whole) }
end
function gcra.write(state) return exact(state.ends) .. ' ' .. exact(state.rounded) .. ':' .. exact(state.whole) end
function gcra.ask(state, ask)
  if ask.limit <= 0 or ask.burst <= 0 then return ask.forced or ask.change <= 0, 0, ask.per, state end
  local unit = ask.per / ask.limit
  local size = unit * ask.burst
  local rounding = unit * 0.000001
  local most = size + MAX_DEBT_PERIODS * ask.per
  local ahead = math.max(0, state.ends - now - (state.rounded or 0))
  local setBack = ahead - (state.whole or most)
  if setBack > math.max(ask.per, HELD_LONGER_MS) then ahead = 0 end
  ahead = math.min(most, ahead)
  local after = math.min(most, math.max(0, ahead + unit * ask.change))
  local granted = ask.forced or after <= size + rounding
  if granted then
    ahead = after
    local whole = math.ceil(ahead)
    state = { ends = now + whole, rounded = whole - ahead, whole = whole }
  end
  local remaining = math.max(0, math.floor((size - ahead) / unit + 0.000001))
  return granted, remaining, math.max(0, math.ceil((granted and ahead or after - size) - rounding)), state
end

function sliding.read(value)
  local ends, used, before = string.match(value, '^(%S+) ?(%S*) ?(%S*)$')
  return { ends = tonumber(ends) or 0, used = tonumber(used) or 0, before = tonumber(before) or 0 }
end
function sliding.write(state) return exact(state.ends) .. ' ' .. exact(state.used) .. ' ' .. exact(state.before) end
function sliding.ask(state, ask)
  local rounding = 0.000001
  local current = (math.floor(now / ask.per) + 1) * ask.per
  local ends, used, before = state.ends, state.used, state.before or 0
  if ends < current + ask.per or ends > now + 3 * ask.per then
    before = ends == current and used or 0
    ends, used = current + ask.per, 0
  end
  local stop = ends - ask.per
  local weighed = before * math.min(1, (stop - now) / ask.per)
  local granted = ask.forced or weighed + used + ask.change <= ask.limit + rounding
  if granted then
    if ask.change < 0 and ask.ends > 0 and ask.ends ~= stop then
      if ask.ends == stop - ask.per then before = math.max(0, before + ask.change) end
    else
      used = math.max(0, used + ask.change)
    end
  end
  local reset = ends - now
  if granted then
    if used == 0 then reset = before > 0 and stop - now or 0 end
  elseif used + ask.change <= ask.limit and before > 0 then
    reset = math.max(1, math.ceil(stop - (ask.limit - used - ask.change) * ask.per / before - now))
  elseif ask.change <= ask.limit and used > 0 then
    reset = math.max(1, math.ceil(ends - (ask.limit - ask.change) * ask.per / used - now))
  end
  local remaining = math.max(0, math.floor(ask.limit - weighed - used + rounding))
  return granted, remaining, reset, { ends = ends, used = used, before = before }
end

local ENTRY = '([^:,]+):([^:,]+):([^:,]+)'
function log.read(value)
  local ends, entries = string.match(value, '^(%S+) ?(%S*)')
  return { ends = tonumber(ends) or 0, entries = entries or '' }
end
function log.write(state) return exact(state.ends) .. ' ' .. state.entries end
function log.lasts(till, ask) return till > now and till <= now + 2 * ask.per end
function log.has(state, ask)
  for till, _, owner in string.gmatch(state.entries or '', ENTRY) do
    if owner == ask.once and log.lasts(tonumber(till), ask) then return true end
  end
  return false
end
function log.ask(state, ask)
  local entries, used = {}, 0
  for till, amount, owner in string.gmatch(state.entries or '', ENTRY) do
    if log.lasts(tonumber(till), ask) and not (ask.releases and owner == ask.once) then
      entries[#entries + 1] = { till = tonumber(till), cost = tonumber(amount), owner = owner }
      used = used + tonumber(amount)
    end
  end
  local granted = ask.forced or used + ask.change <= ask.limit
  if granted and ask.change > 0 then
    entries[#entries + 1] = { till = now + ask.per, cost = ask.change, owner = ask.once }
    used = used + ask.change
    while used - entries[1].cost > ask.limit do
      used = used - entries[1].cost
      table.remove(entries, 1)
    end
  elseif ask.change < 0 then
    local left = -ask.change
    for at = #entries, 1, -1 do
      local entry = entries[at]
      if entry.owner == ask.once then
        local taken = math.min(left, entry.cost)
        left, used, entry.cost = left - taken, used - taken, entry.cost - taken
        if entry.cost == 0 then table.remove(entries, at) end
      end
    end
  end
  local last, reset, texts, counted = 0, 0, {}, used
  for at, entry in ipairs(entries) do
    if not granted and reset == 0 then
      counted = counted - entry.cost
      if counted + ask.change <= ask.limit then reset = math.max(1, math.ceil(entry.till - now)) end
    end
    last = math.max(last, entry.till)
    texts[at] = exact(entry.till) .. ':' .. exact(entry.cost) .. ':' .. entry.owner
  end
  if granted then reset = math.max(0, last - now) elseif reset == 0 then reset = math.max(ask.per, last - now) end
  return granted, math.max(0, ask.limit - used), reset, { ends = last, entries = table.concat(texts, ',') }
end

local ALGORITHMS = { f = fixed, w = window, g = gcra, s = sliding, l = log, c = log }
local FORCED = { giveBack = true, release = true, owe = true }
local BLANK = { ends = 0, used = 0 }

local before, states, asks = {}, {}, {}
for at = 1, (#ARGV - 1) / 8 do
  local key, base = KEYS[at], at * 8 - 7
  local verb, cost = ARGV[base + 2], tonumber(ARGV[base + 3])
  local ask = {
    key = key,
    algorithm = ALGORITHMS[ARGV[base + 1]],
    part = verb == 'part',
    forced = FORCED[verb],
    owed = verb == 'owe',
    releases = verb == 'release',
    change = verb == 'giveBack' and -cost or cost,
    limit = tonumber(ARGV[base + 4]),
    burst = tonumber(ARGV[base + 5]),
    per = tonumber(ARGV[base + 6]),
    once = ARGV[base + 7],
    ends = tonumber(ARGV[base + 8]),
  }
  if not before[key] then
    local value = redis.call('GET', key)
    before[key] = value and ask.algorithm.read(value) or BLANK
    states[key] = before[key]
  end
  local repeats = false
  if ask.algorithm == log then
    repeats = ask.once ~= '-' and not ask.releases and log.has(before[key], ask)
  elseif ask.once ~= '0' then
    ask.mark = KEYS[tonumber(ask.once)]
    local till = tonumber(redis.call('GET', ask.mark) or '0') or 0
    repeats = till > now and till <= now + 2 * ask.per
  end
  if repeats then
    ask.owed = ask.owed or ask.change >= 0
    ask.change, ask.forced = math.min(0, ask.change), true
  end
  asks[at] = ask
end

local function look(ask, state)
  local changed = { change = 0, releases = false, forced = ask.owed }
  return ask.algorithm.ask(state, setmetatable(changed, { __index = ask }))
end

local all = true
for at, ask in ipairs(asks) do
  local whole = ask.change
  if whole > 0 and ask.part then
    local _, left = look(ask, states[ask.key])
    ask.change = math.min(whole, math.max(1, left))
  end
  local change, isOver = ask.change, states[ask.key].ends <= now
  local after
  ask.granted, ask.remaining, ask.reset, after = ask.algorithm.ask(isOver and change <= 0 and BLANK or states[ask.key], ask)
  if change > 0 or not isOver and (change < 0 or ask.releases) then states[ask.key] = after end
  ask.used = after.used
  ask.charged = change <= 0 and 0 or change == whole and -1 or change
  all = all and ask.granted
end

local reply = {}
for at, ask in ipairs(asks) do
  if not all and ask.granted then
    local state, _, after = before[ask.key], nil, nil
    _, ask.remaining, ask.reset, after = look(ask, state.ends > now and state or BLANK)
    ask.used = after.used
  end
  local ends = states[ask.key].ends
  if ask.algorithm == sliding then ends = ends - ask.per elseif ask.algorithm == window then ends = ask.ends end
  local from = at * 6 - 6
  reply[from + 1], reply[from + 2] = ask.granted and 1 or 0, ask.remaining
  reply[from + 3], reply[from + 4] = math.min(ask.reset, MAX_MS), all and ask.charged or 0
  reply[from + 5], reply[from + 6] = math.min(ends, MAX_MS), ask.algorithm == window and ask.used or 0
end
if not all then return reply end
for _, ask in ipairs(asks) do
  local key, state = ask.key, states[ask.key]
  if ask.mark and ask.change > 0 then redis.call('SET', ask.mark, exact(now + ask.per), 'PX', ask.per + HELD_LONGER_MS) end
  if ask.mark and ask.change < 0 then redis.call('DEL', ask.mark) end
  if state ~= before[key] then
    if ask.algorithm == window then
      local change = state.used - before[key].used
      if change ~= 0 then redis.call('INCRBY', key, change) end
      if change > 0 then redis.call('EXPIRE', key, math.ceil(ask.per / 1000)) end
    else
      local forMs = math.min(MAX_MS, math.max(1, math.ceil(state.ends - now)) + HELD_LONGER_MS)
      redis.call('SET', key, ask.algorithm.write(state), 'PX', forMs)
    end
    before[key] = state
  end
end
return reply
`;

export const SCRIPT_SHA1 = createHash('sha1').update(SCRIPT).digest('hex');
