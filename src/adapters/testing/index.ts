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
import type { AdapterSubject } from './subject.ts';
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
      if (Object.hasOwn(skipped, says)) delete skipped[says];
      else
        test(says, async () => {
          await show();
        });
    }
  };
  describe(`${adapter.name} as an adapter`, () =>
    declare([...lifecycleBehaviours(adapter, subject), ...unreachableBehaviours(adapter, subject)]));
  const serves = adapter.serves;
  if (serves.enrich !== undefined)
    describe(`${adapter.name} enriches`, () =>
      declare(enrichBehaviours(adapter, subject, given(adapter, 'enrich', subject.enrich))));
  if (serves.check !== undefined)
    describe(`${adapter.name} checks`, () =>
      declare(checkBehaviours(adapter, subject, given(adapter, 'check', subject.check))));
  if (serves.quota !== undefined)
    describe(`${adapter.name} keeps quotas`, () => declare(quotaBehaviours(adapter, subject, subject.quota ?? {})));
  if (serves.report !== undefined)
    describe(`${adapter.name} takes reports`, () =>
      declare(reportBehaviours(adapter, subject, given(adapter, 'report', subject.report))));
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
