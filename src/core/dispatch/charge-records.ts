import type { RequestBag } from '../../attributes/bag.ts';
import type { RecordKind } from '../../attributes/carrier.ts';
import { NO_CALLER } from '../call.ts';
import { nextId } from '../call-id.ts';
import { CallScope } from '../handlers/call-scope.ts';
import type { QuotaRun } from '../outcome.ts';
import type { Snapshot } from '../snapshot/snapshot.ts';
import { askQuotas } from './charge-quotas.ts';

/** Charges quotas after the fact, for an entry of a log; nobody waits for the answer. `atMs` by `performance.now()`. */
export function chargeRecord(
  current: Snapshot,
  call: RecordKind,
  bag: RequestBag,
  atMs: number,
): Promise<void> | undefined {
  const scope = new CallScope(nextId(), call, NO_CALLER).about(bag);
  const charged = current.hold(askQuotas(current, [bag], scope));
  const count = ({ outcomes }: QuotaRun): void => {
    for (const { failed, prepared } of outcomes) {
      prepared.meters.lastAtMs = atMs;
      if (failed) prepared.meters.failed++;
    }
  };
  if (charged instanceof Promise) return charged.then(count);
  count(charged);
  return undefined;
}
