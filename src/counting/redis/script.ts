/** The script that answers all asks of one call in one step of Redis, and what it is told and tells. */
import { createHash } from 'node:crypto';
import type { Algorithm, QuotaAnswer, QuotaAsk } from '../../adapters/contract.ts';
import { counterKey, holderName, markKey } from './counter-key.ts';

/**
 * KEYS: the counter of each ask, then the marks of what is charged once. ARGV: the time in ms or '' for Redis's own, then for each ask: algorithm (in upper case where it
 * is owed: charged beyond the limit too; x ends a lease), cost, limit, burst, period in ms, the place in KEYS of the mark
 * of what it is charged once for, or 0 (of a log: who is charged, or -), when a fixed window ends where that is no multiple of the period, or 0, and 1 where a part of the cost will do.
 * A fixed window is kept as "END USED": the window's end and what was used, so a clock set back does not give the window again.
 * A sliding one is kept as "NEXT USED BEFORE": the end of the next window, what was used in this one and in the one before.
 * A log is kept as "LAST UNTIL:COST:WHO,...": until when each charge counts, and the last of them. GCRA is kept as its theoretical arrival time. A mark is kept as the time until which it is not charged again; a log needs none: who is in it was charged. Times are ms. A key lives 2 s longer than it counts, for clocks that differ.
 * A cost below 0 gives back. What looks changes nothing, and what gives back nothing of a counter that is over. Answers granted (1 or 0), remaining, reset and what was charged for each ask: 0, a part of its cost, or -1
 * for all of it (numbers that leave a script have no fractions), and when the window that it is in ends. Writes nothing where one is refused.
 * Where what is given back says its window's end, another window is not credited with it.
 * A debt is remembered for ten periods beyond what may come at once. A time that is further ahead than any charge makes it is of a clock that
 * was set back since: it counts as over.
 */
export const SCRIPT = `
local now = tonumber(ARGV[1])
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000 + math.floor(time[2] / 1000)
end

-- Redis takes no larger expiry; some 30 000 years.
local MOST_MS = 1e15
local owed = false
local function fixed(state, cost, limit, burst, per, ends)
  local stop, used = state[1], state[2]
  if cost < 0 and ends > 0 and ends <= now then
    if stop <= now or used == 0 then return true, limit, 0, stop, used end
    return true, math.max(0, limit - used), stop - now, stop, used
  end
  local window = ends > 0 and ends or (math.floor(now / per) + 1) * per
  if stop < window or ends == 0 and stop > now + 2 * per then stop, used = window, 0 end
  local granted = owed or cost < 0 or used + cost <= limit
  if granted and not (cost < 0 and ends > 0 and stop > ends) then used = math.max(0, used + cost) end
  return granted, math.max(0, limit - used), math.max(granted and 0 or 1, stop - now), stop, used
end

local ROUNDING, MOST_DEBT_PERIODS = 0.001, 10
local function gcra(state, cost, limit, burst, per)
  if limit <= 0 or burst <= 0 then return owed or cost <= 0, 0, per, state[1], 0 end
  local unit = per / limit
  local size = unit * burst
  local most = now + size + MOST_DEBT_PERIODS * per
  local tat = math.max(state[1], now)
  if tat > most + per then tat = now end
  local after = math.min(most, math.max(now, tat + unit * cost))
  local ahead = after - now - size
  local granted = owed or cost < 0 or ahead <= ROUNDING
  if granted then tat = after end
  local full = tat - now
  local remaining = math.min(burst, math.max(0, math.floor((size - full) / unit + 0.000001)))
  local reset = full
  if not granted then reset = ahead end
  return granted, remaining, math.ceil(reset - ROUNDING), tat, 0
end

local function sliding(state, cost, limit, burst, per, ends)
  local window = (math.floor(now / per) + 1) * per
  local next, used, last = state[1], state[2], state[3]
  if next < window + per or next > now + 3 * per then
    if next == window then last = used else last = 0 end
    next, used = window + per, 0
  end
  local stop = next - per
  local before = last * math.min(1, (stop - now) / per)
  local granted = owed or cost < 0 or before + used + cost <= limit + 0.000001
  if granted then
    if cost < 0 and ends > 0 and ends ~= stop then
      if ends == stop - per then last = math.max(0, last + cost) end
    else
      used = math.max(0, used + cost)
    end
  end
  local reset = next - now
  if granted then
    if used == 0 then reset = last > 0 and stop - now or 0 end
  elseif used + cost <= limit and last > 0 then
    reset = math.max(1, math.ceil(stop - (limit - used - cost) * per / last - now))
  elseif cost <= limit and used > 0 then
    reset = math.max(1, math.ceil(next - (limit - cost) * per / used - now))
  end
  return granted, math.max(0, math.floor(limit - before - used + 0.000001)), reset, next, used, last
end

local who, releases = '-', false
local function log(state, cost, limit, burst, per)
  local entries, used = {}, 0
  for till, amount, name in string.gmatch(state[4], '([^:,]+):([^:,]+):([^:,]+)') do
    if tonumber(till) > now and not (releases and name == who) then
      entries[#entries + 1] = { tonumber(till), tonumber(amount), name }
      used = used + tonumber(amount)
    end
  end
  local granted = owed or releases or cost < 0 or used + cost <= limit
  if granted and cost > 0 then
    entries[#entries + 1] = { now + per, cost, who }
    used = used + cost
    while used - entries[1][2] > limit do
      used = used - entries[1][2]
      table.remove(entries, 1)
    end
  elseif cost < 0 then
    local left = -cost
    for at = #entries, 1, -1 do
      if entries[at][3] == who then
        local taken = math.min(left, entries[at][2])
        left, used = left - taken, used - taken
        entries[at][2] = entries[at][2] - taken
        if entries[at][2] == 0 then table.remove(entries, at) end
      end
    end
  end
  local last, reset, texts, free = 0, 0, {}, used
  for at, entry in ipairs(entries) do
    if not granted and reset == 0 then
      free = free - entry[2]
      if free + cost <= limit then reset = math.max(1, math.ceil(entry[1] - now)) end
    end
    last = math.max(last, entry[1])
    texts[at] = string.format('%.17g:%.17g:%s', entry[1], entry[2], entry[3])
  end
  if granted then reset = math.max(0, last - now) elseif reset == 0 then reset = math.max(per, last - now) end
  return granted, math.max(0, limit - used), reset, last, 0, 0, table.concat(texts, ',')
end

local BLANK = { 0, 0, 0, '' }
local function kept(key)
  local value = redis.call('GET', key)
  if not value then return BLANK end
  local first, second, third = string.match(value, '^(%S+) ?(%S*) ?(%S*)$')
  return { tonumber(first) or 0, tonumber(second) or 0, tonumber(third) or 0, second }
end

local before, states, answers, all = {}, {}, {}, true
local asked = (#ARGV - 1) / 8
local function letter_of(at) return string.lower(ARGV[at * 8 - 6]) end
local function is_log(letter) return letter == 'l' or letter == 'x' end
local function is_in(entries, name)
  for till, other in string.gmatch(entries, '([^:,]+):[^:,]+:([^:,]+)') do
    if other == name and tonumber(till) > now then return true end
  end
  return false
end
local marks, known = {}, {}
for at = 1, asked do
  local key, letter, once = KEYS[at], letter_of(at), ARGV[at * 8 - 1]
  if not before[key] then
    before[key] = kept(key)
    states[key] = before[key]
  end
  if is_log(letter) then
    known[at] = once ~= '-' and letter ~= 'x' and is_in(before[key][4], once)
  elseif once ~= '0' then
    marks[at] = KEYS[tonumber(once)]
    known[at] = (tonumber(redis.call('GET', marks[at]) or '0') or 0) > now
  end
end
local costs = {}
local function cost_of(at)
  local cost = tonumber(ARGV[at * 8 - 5])
  if known[at] then return math.min(0, cost) end
  return cost
end
local function ask(at, from, cost, looks)
  local base = at * 8 - 6
  local letter = letter_of(at)
  owed = letter ~= ARGV[base] or known[at]
  who = is_log(letter) and ARGV[at * 8 - 1] or '-'
  releases = letter == 'x' and not looks
  local count = letter == 'g' and gcra or is_log(letter) and log or letter == 's' and sliding or fixed
  return count(from, cost, tonumber(ARGV[base + 2]), tonumber(ARGV[base + 3]), tonumber(ARGV[base + 4]), tonumber(ARGV[base + 6]))
end
for at = 1, asked do
  local key = KEYS[at]
  costs[at] = cost_of(at)
  if costs[at] > 0 and ARGV[at * 8 + 1] == '1' then
    local _, left = ask(at, states[key], 0, true)
    costs[at] = math.min(costs[at], math.max(1, left))
  end
  local cost, isOver = costs[at], states[key][1] <= now
  local granted, remaining, reset, first, second, third, text = ask(at, isOver and cost <= 0 and BLANK or states[key], cost)
  if cost > 0 or not isOver and (cost < 0 or letter_of(at) == 'x') then states[key] = { first, second, third, text or '' } end
  answers[at] = { granted, remaining, reset }
  all = all and granted
end

local told = {}
for at = 1, asked do
  local key = KEYS[at]
  local granted, remaining, reset = answers[at][1], answers[at][2], answers[at][3]
  if not all and granted then
    local _
    _, remaining, reset = ask(at, before[key][1] > now and before[key] or BLANK, 0, true)
  end
  local charged = 0
  if all and costs[at] > 0 then charged = costs[at] == cost_of(at) and -1 or costs[at] end
  local ends = states[key][1]
  if ARGV[at * 8 - 6] == 's' then ends = ends - ARGV[at * 8 - 2] end
  told[at * 5 - 4], told[at * 5 - 3], told[at * 5 - 2], told[at * 5 - 1], told[at * 5] = granted and 1 or 0, remaining, math.min(reset, MOST_MS), charged, math.min(ends, MOST_MS)
end
if all then
  for at = 1, asked do
    local key = KEYS[at]
    local cost = costs[at]
    if marks[at] and cost > 0 then redis.call('SET', marks[at], string.format('%.17g', now + ARGV[at * 8 - 2]), 'PX', ARGV[at * 8 - 2] + 2000) end
    if marks[at] and cost < 0 then redis.call('DEL', marks[at]) end
    local letter = letter_of(at)
    if states[key] ~= before[key] then
      local state = states[key]
      local value = string.format('%.17g', state[1])
      if is_log(letter) then value = value .. ' ' .. state[4]
      elseif letter ~= 'g' then value = value .. ' ' .. string.format('%.17g', state[2]) end
      if letter == 's' then value = value .. ' ' .. string.format('%.17g', state[3]) end
      redis.call('SET', key, value, 'PX', math.min(MOST_MS, math.max(1, math.ceil(state[1] - now)) + 2000))
    end
  end
end
return told
`;

export const SCRIPT_SHA1 = createHash('sha1').update(SCRIPT).digest('hex');

/** Of each algorithm, in the script. */
const LETTER: Readonly<Record<Algorithm, string>> = { fixed: 'f', gcra: 'g', sliding: 's', log: 'l', concurrency: 'l' };

type Ask = QuotaAsk<{ readonly counter: string; readonly algorithm: Algorithm }>;

/** KEYS, in the order that the script expects; `prefixOf` a key. */
export const keysOf = (asks: readonly Ask[], prefixOf: (key: string) => string): string[] => [
  ...asks.map(({ bucket, key, perMs }) => counterKey(prefixOf(key), bucket, perMs, key)),
  ...asks.flatMap(({ bucket, key, perMs, once }) =>
    once === undefined || isLog(bucket) ? [] : [markKey(prefixOf(key), bucket, perMs, key, once)],
  ),
];

/** ARGV, in the order that the script expects. */
export function argumentsOf(asks: readonly Ask[], nowMs: number | undefined): (string | number)[] {
  const told: (string | number)[] = [nowMs ?? ''];
  let place = asks.length;
  for (const {
    bucket,
    cost,
    limit,
    burst,
    perMs,
    endsAtMs,
    once,
    owed = false,
    release = false,
    partial = false,
  } of asks) {
    const known = once === undefined ? (isLog(bucket) ? '-' : 0) : isLog(bucket) ? holderName(once) : ++place;
    told.push(
      release ? 'x' : owed ? LETTER[bucket.algorithm].toUpperCase() : LETTER[bucket.algorithm],
      cost,
      limit,
      burst,
      perMs,
      known,
      endsAtMs ?? 0,
      partial ? 1 : 0,
    );
  }
  return told;
}

const isLog = ({ algorithm }: Ask['bucket']): boolean => LETTER[algorithm] === 'l';

/** An answer, and what of its cost was charged now (nothing where it was charged once before), in the window that ends then. */
export interface Told extends QuotaAnswer {
  readonly charged: number;
  readonly endsAtMs: number;
}

const TOLD = 5;

/** Throws where this is no reply of the script: at the address is another server than Redis, or something that answers in its place. */
export function answersOf(asks: readonly QuotaAsk[], reply: unknown): Told[] {
  if (!Array.isArray(reply) || reply.length !== asks.length * TOLD || !reply.every(Number.isSafeInteger)) {
    throw new Error(`the reply to a script is none of it: ${asks.length * TOLD} integers were expected`);
  }
  const told = reply as readonly number[];
  return asks.map(({ limit, cost }, at) => {
    const [granted, remaining = 0, resetMs = 0, charged = 0, endsAtMs = 0] = told.slice(at * TOLD);
    if (granted !== 0 && granted !== 1)
      throw new Error(`the reply to a script is none of it: ${granted} in place of 0 or 1`);
    return { granted: granted === 1, limit, remaining, resetMs, charged: charged === -1 ? cost : charged, endsAtMs };
  });
}
