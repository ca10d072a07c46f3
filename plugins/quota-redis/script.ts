/** The script that answers all asks of one call in one step of Redis, and what it is told and tells. */
import { createHash } from 'node:crypto';
import type { QuotaAnswer, QuotaAsk } from 'sluice/plugin';

/**
 * KEYS: the counter of each ask. ARGV: the time in ms or '' for Redis's own, then for each ask: algorithm, cost, limit, burst, period in ms.
 * A fixed window is kept as "END USED": the window's end and what was used, so a clock set back does not give the window again.
 * GCRA is kept as its theoretical arrival time. Times are ms. A key lives 2 s longer than it counts, for clocks that differ.
 * Answers granted (1 or 0), remaining and reset for each ask. Writes nothing where one is refused.
 */
export const SCRIPT = `
local now = tonumber(ARGV[1])
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000 + math.floor(time[2] / 1000)
end

local function fixed(state, cost, limit, burst, per)
  local window = (math.floor(now / per) + 1) * per
  local stop, used = state[1], state[2]
  if stop < window then stop, used = window, 0 end
  local granted = used + cost <= limit
  if granted then used = used + cost end
  return granted, math.max(0, limit - used), stop - now, stop, used
end

local ROUNDING = 0.001
local function gcra(state, cost, limit, burst, per)
  if limit <= 0 or burst <= 0 then return cost <= 0, 0, per, state[1], 0 end
  local unit = per / limit
  local size = unit * burst
  local tat = math.max(state[1], now)
  local after = tat + unit * cost
  local ahead = after - now - size
  local granted = ahead <= ROUNDING
  if granted then tat = after end
  local full = tat - now
  local remaining = math.min(burst, math.max(0, math.floor((size - full) / unit + 0.000001)))
  local reset = full
  if not granted then reset = ahead end
  return granted, remaining, math.ceil(reset - ROUNDING), tat, 0
end

local function kept(key)
  local value = redis.call('GET', key)
  if not value then return { 0, 0 } end
  local first, second = string.match(value, '^(%S+) ?(%S*)$')
  return { tonumber(first) or 0, tonumber(second) or 0 }
end

local before, states, answers, all = {}, {}, {}, true
local function ask(at, from, cost)
  local base = at * 5 - 3
  local count = ARGV[base] == 'g' and gcra or fixed
  return count(from, cost, tonumber(ARGV[base + 2]), tonumber(ARGV[base + 3]), tonumber(ARGV[base + 4]))
end
for at, key in ipairs(KEYS) do
  if not before[key] then
    before[key] = kept(key)
    states[key] = before[key]
  end
  local granted, remaining, reset, first, second = ask(at, states[key], tonumber(ARGV[at * 5 - 2]))
  states[key] = { first, second }
  answers[at] = { granted, remaining, reset }
  all = all and granted
end

local told = {}
for at, key in ipairs(KEYS) do
  local granted, remaining, reset = answers[at][1], answers[at][2], answers[at][3]
  if not all and granted then
    local _
    _, remaining, reset = ask(at, before[key], 0)
  end
  told[at * 3 - 2], told[at * 3 - 1], told[at * 3] = granted and 1 or 0, remaining, reset
end
if all then
  for at, key in ipairs(KEYS) do
    if tonumber(ARGV[at * 5 - 2]) > 0 and states[key] then
      local state = states[key]
      local value = string.format('%.17g', state[1])
      if ARGV[at * 5 - 3] ~= 'g' then value = value .. ' ' .. string.format('%.17g', state[2]) end
      redis.call('SET', key, value, 'PX', math.max(1, math.ceil(state[1] - now)) + 2000)
    end
  end
end
return told
`;

export const SCRIPT_SHA1 = createHash('sha1').update(SCRIPT).digest('hex');

/** ARGV, in the order that the script expects. */
export function argumentsOf(asks: readonly QuotaAsk<{ readonly algorithm: string }>[], nowMs: number | undefined): (string | number)[] {
  const told: (string | number)[] = [nowMs ?? ''];
  for (const { bucket, cost, limit, burst, perMs } of asks) told.push(bucket.algorithm === 'gcra' ? 'g' : 'f', cost, limit, burst, perMs);
  return told;
}

export function answersOf(asks: readonly QuotaAsk[], told: readonly number[]): QuotaAnswer[] {
  return asks.map(({ limit }, at) => ({
    granted: told[at * 3] === 1, limit, remaining: told[at * 3 + 1] ?? 0, resetMs: told[at * 3 + 2] ?? 0,
  }));
}
