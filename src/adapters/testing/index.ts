/**
 * `sluice/plugin/testing`: the behaviours required of every adapter, and tools for an author's own tests.
 * **In**: an adapter, and examples of its use. **Out**: one test per behaviour, declared with the author's test runner (vitest,
 * node:test). **Fails**: if an example for a served capability is missing.
 */
import type { Adapter, Capability } from '../contract.ts';
import type { Behaviour } from './behaviours.ts';
import { checkBehaviours } from './check.ts';
import { enrichBehaviours } from './enrich.ts';
import { lifecycleBehaviours } from './lifecycle.ts';
import { quotaBehaviours } from './quota.ts';
import { reportBehaviours } from './report.ts';
import { openingBehaviours } from './openings.ts';
import { PLACES } from './places.ts';
import type { AdapterSubject, PlacedSubject } from './subject.ts';
import { unreachableBehaviours } from './unreachable.ts';

export { eventually } from './behaviours.ts';
export { type FakeClock, fakeClock } from './fake-clock.ts';
export { type LogLine, type OpenedForTest, type OpenForTestOptions, openForTest, testCall } from './open-for-test.ts';
export type { AdapterSubject, CheckSubject, EnrichSubject, QuotaSubject, ReportSubject, Runner } from './subject.ts';

/** Declares the tests: `testAdapter(adapter, { runner: { describe, test }, config: { ... }, check: { allowed, denied } })`. */
export function testAdapter(adapter: Adapter, subject: AdapterSubject): void {
  const { describe, test } = subject.runner;
  const skipped = { ...subject.skip };
  const declare = (behaviours: readonly Behaviour[]): void => {
    for (const { says, show } of behaviours) {
      if (Object.hasOwn(subject.skip ?? {}, says)) delete skipped[says];
      else
        test(says, async () => {
          await show();
        });
    }
  };
  for (const place of subject.in ?? (['process'] as const)) declareIn({ ...subject, place });

  function declareIn(placed: PlacedSubject): void {
    const named = (what: string): string => `${adapter.name} ${what}${PLACES[placed.place].says}`;
    describe(named('as an adapter'), () =>
      declare([
        ...lifecycleBehaviours(adapter, placed),
        ...openingBehaviours(adapter, placed),
        ...unreachableBehaviours(adapter, placed),
      ]),
    );
    const { enrich, check, quota, report } = adapter.serves;
    if (enrich !== undefined)
      describe(named('enriches'), () =>
        declare(enrichBehaviours(adapter, placed, given(adapter, 'enrich', placed.enrich))),
      );
    if (check !== undefined)
      describe(named('checks'), () => declare(checkBehaviours(adapter, placed, given(adapter, 'check', placed.check))));
    if (quota !== undefined)
      describe(named('keeps quotas'), () => declare(quotaBehaviours(adapter, placed, placed.quota ?? {})));
    if (report !== undefined)
      describe(named('takes reports'), () =>
        declare(reportBehaviours(adapter, placed, given(adapter, 'report', placed.report))),
      );
  }
  test(`${adapter.name} skips only known behaviours`, () => {
    const [unknown] = Object.keys(skipped);
    return unknown === undefined
      ? Promise.resolve()
      : Promise.reject(new Error(`skip names "${unknown}", which is not a known behaviour`));
  });
}

function given<T>(adapter: Adapter, capability: Capability, example: T | undefined): T {
  if (example === undefined)
    throw new Error(`${adapter.name} serves ${capability}, but testAdapter was given no example under "${capability}"`);
  return example;
}
