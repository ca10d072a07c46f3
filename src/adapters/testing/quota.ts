/** Behaviours of every adapter that serves `quota`: those of a store of counters, by each algorithm that it serves. */
import type { Adapter } from '../contract.ts';
import { BEHAVIOURS_OF } from './algorithm-behaviours.ts';
import { type Behaviour, ofOpen, paramsOf } from './behaviours.ts';
import { countersOf, type StoreUnderTest } from './counters.ts';
import { type OpenedForTest, testCall } from './open-for-test.ts';
import type { PlacedSubject, QuotaSubject } from './subject.ts';

export function quotaBehaviours(adapter: Adapter, subject: PlacedSubject, example: QuotaSubject): Behaviour[] {
  const storeOf = ({ handler, clock }: OpenedForTest): StoreUnderTest => ({
    clock,
    bucket: (rule) => handler.bucket?.({ ...rule, params: paramsOf(adapter, 'quota', example.params) }),
    charge: (asks) => handler.charge?.(asks, testCall()) ?? [],
    ...(handler.reset === undefined ? {} : { reset: (asks) => handler.reset?.(asks) }),
    ...(handler.look === undefined ? {} : { look: (asks, leases) => handler.look?.(asks, leases) ?? [] }),
  });
  return (adapter.serves.quota?.algorithms ?? []).flatMap((algorithm) =>
    Object.entries(BEHAVIOURS_OF[algorithm]).map(([says, show]) =>
      ofOpen(adapter, subject, `${algorithm}: ${says}`, (opened) => show(countersOf(storeOf(opened), algorithm))),
    ),
  );
}
