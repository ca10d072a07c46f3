/**
 * Returns units of a lease to the store.
 * **In**: a lease, units that it no longer holds. **Out**: how many were returned or lost. **Fails**: never; who awaits `lease.returning`
 * gets the error of the store.
 */
import type { EscrowOptions } from './escrow.ts';
import { type Lease, returnOf } from './lease.ts';

type Options = Pick<EscrowOptions, 'store' | 'onUnits'>;

/** If the store cannot be asked, the units are lost: less is admitted, never more. */
export async function sendBack(lease: Lease, units: number, options: Options): Promise<void> {
  const sent = send(lease, units, options);
  const returning = lease.returning === undefined ? sent : Promise.all([lease.returning, sent]);
  lease.returning = returning;
  await returning.catch(() => undefined);
  if (lease.returning === returning) lease.returning = undefined;
}

async function send(lease: Lease, units: number, { store, onUnits }: Options): Promise<void> {
  try {
    await store.charge([returnOf(lease, units)]);
  } catch (error) {
    onUnits('stranded', units);
    throw error;
  }
  onUnits('returned', units);
}
