/** Prints who holds units of a counter: replicas with units taken in advance, and leases. */
import { counted } from '../../text/counted.ts';
import type { QuotaPlace } from '../../adapters/contract.ts';
import { paintOut } from '../../text/paint.ts';
import { columns } from '../terminal.ts';

export const holdersText = (holders: QuotaPlace['holders'] = []): string =>
  holders.map(({ who, units }) => `${units} by ${who}`).join(', ');

/** The leases that were read, oldest first, and how many there are in all. */
export function* leaseLines({
  leases = [],
  leaseCount,
}: {
  readonly [N in 'leases' | 'leaseCount']?: QuotaPlace[N];
}): Generator<string> {
  if (leaseCount === undefined) return;
  yield `  ${'leases'.padEnd(10)} ${leaseCount}${leases.length > 1 ? ', the oldest first' : ''}`;
  yield* columns(
    leases.map(({ id, units, heldMs, endsInMs }) => [
      `    ${id ?? '(not kept)'}`,
      counted(units, 'unit'),
      `held for ${seconds(heldMs)}`,
      `ends within ${seconds(endsInMs)}`,
    ]),
  );
  if (leaseCount > leases.length) yield paintOut.faint(`    and ${leaseCount - leases.length} more`);
}

const seconds = (ms: number): string => `${Math.ceil(ms / 1000)} s`;
