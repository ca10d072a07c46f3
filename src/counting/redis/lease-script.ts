/**
 * Lists the leases of one counter of `concurrency`: a script that writes nothing, for operators.
 * **In**: a key, a page. **Out**: the leases of the page, and how many there are; the reply is as long as the page, however many are held.
 * **Fails**: as the connection does.
 */
import type { LeasePage, QuotaPlace } from '../../adapters/contract.ts';
import { leaseIdOf } from './counter-key.ts';

/**
 * KEYS: the counter. ARGV: the time in ms, or '' for the time of Redis; the period in ms; leases to skip; leases to return at most.
 *
 * Reply: the number of leases, the time, then end, units and owner of each lease of the page; as texts, since numbers that leave a script have
 * no fractions.
 */
export const LEASE_SCRIPT = `
local now = tonumber(ARGV[1])
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000 + math.floor(time[2] / 1000)
end
local per, from, count = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local total, reply = 0, {}
local entries = string.match(redis.call('GET', KEYS[1]) or '', '^%S+ (%S*)') or ''
for till, amount, owner in string.gmatch(entries, '([^:,]+):([^:,]+):([^:,]+)') do
  local ends = tonumber(till)
  if ends > now and ends <= now + 2 * per then
    total = total + 1
    if total > from and total <= from + count then
      local at = #reply
      reply[at + 1], reply[at + 2], reply[at + 3] = till, amount, owner
    end
  end
end
table.insert(reply, 1, string.format('%.17g', now))
table.insert(reply, 1, tostring(total))
return reply
`;

export const leaseArguments = (nowMs: number | undefined, perMs: number, { from, count }: LeasePage): string[] =>
  [nowMs ?? '', perMs, from, count].map(String);

/** Throws if this is not a reply of the script. */
export function leasesOf(reply: unknown, perMs: number): Pick<QuotaPlace, 'leases' | 'leaseCount'> {
  if (!Array.isArray(reply) || reply.length % 3 !== 2 || !reply.every((word) => typeof word === 'string'))
    throw new Error('unexpected reply to the script that lists leases');
  const [total, now, ...words] = reply as readonly string[];
  const nowMs = Number(now);
  const leases = Array.from({ length: words.length / 3 }, (_, at) => {
    const [till, units, owner = ''] = words.slice(at * 3);
    const endsInMs = Number(till) - nowMs;
    return { id: leaseIdOf(owner), units: Number(units), heldMs: Math.max(0, perMs - endsInMs), endsInMs };
  });
  return { leases, leaseCount: Number(total) };
}
