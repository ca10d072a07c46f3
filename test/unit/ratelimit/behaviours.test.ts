/**
 * `sluice ratelimit` that charges all or none has the behaviours of a store of counters, as far as a request can ask for them. A behaviour
 * that does not hold fails here, for the reason that is given.
 */
import { describe, expect, test } from 'vitest';
import { BEHAVIOURS_OF } from '../../../src/adapters/testing/algorithm-behaviours.ts';
import type { Algorithm, QuotaAnswer, QuotaAsk } from '../../../src/adapters/contract.ts';
import { countersOf, type StoreUnderTest } from '../../../src/adapters/testing/counters.ts';
import { fakeClock } from '../../../src/adapters/testing/index.ts';
import { Code } from '../../../src/ratelimit/call.ts';
import { memoryPool } from '../../../src/ratelimit/charge/memory-pool.ts';
import { limitInspector } from '../../../src/ratelimit/inspect/inspector.ts';
import { RatelimitMetrics } from '../../../src/ratelimit/metrics/metrics.ts';
import { rateLimitService } from '../../../src/ratelimit/serve/service.ts';
import { domainsOf, REFERENCE_SETTINGS } from './reference-settings.ts';

const NO_VERB = 'a request spends, looks and releases only';
const NO_KEY = 'a request has no idempotency key, but that of a lease, its holder';
const FROM_FILE = 'a counter has one limit and period, those of the file';
const OF_REFERENCE = 'the reset is the end of the window, as in the reference';
const DIFFERS: Readonly<Record<string, string>> = {
  'a cost is charged whole or not at all': 'a refusal has 0 remaining, as in the reference',
  'grants all of several asks or charges none': 'an ask refused with another says what it would have left',
  'asks for several keys are all charged or none': FROM_FILE,
  'an idempotency key is forgotten when its charge is given back': NO_VERB,
  'an idempotency key is kept until its whole charge is given back': NO_VERB,
  'a partial spend charges what is left, and all or none still holds': NO_VERB,
  'a debt is charged even beyond the limit': NO_VERB,
  'a debt above the limit keeps the newest idempotency keys and forgets the oldest': NO_VERB,
  'a growing debt is forgiven a period after its excess charges': NO_VERB,
  'gives back what was charged': NO_VERB,
  'gives back no more than was charged': NO_VERB,
  'giving back to an ended window does not credit a later one': NO_VERB,
};
const WITHOUT_HOLDER = { 'a repeated idempotency key is not charged again within a period': NO_KEY };
const WINDOWS_DIFFER = {
  ...WITHOUT_HOLDER,
  'a period set by the request has its own counter': FROM_FILE,
  'a window ends at endsAtMs if the ask sets it': FROM_FILE,
};
const DIFFERS_BY: Readonly<Record<Algorithm, Readonly<Record<string, string>>>> = {
  fixed: WINDOWS_DIFFER,
  sliding: {
    ...WINDOWS_DIFFER,
    'a refusal says when the ask could pass, by the clock': OF_REFERENCE,
    'the reset of a grant is the end of the next window': OF_REFERENCE,
  },
  gcra: WITHOUT_HOLDER,
  log: {
    ...WITHOUT_HOLDER,
    'a reset forgets idempotency keys: a repeated ask is charged again, or refused if the counter is full': NO_KEY,
  },
  concurrency: { 'a release is undone if another ask of its call is refused': 'the stream has ended in any case' },
};

interface Counter {
  readonly name: string;
  readonly algorithm: Algorithm;
}
type Ask = QuotaAsk<Counter>;

/** A descriptor of the file for each counter, with the limit of its last ask. */
function service(): StoreUnderTest {
  const clock = fakeClock();
  const nowMs = (): number => clock.nowMs();
  const pool = memoryPool({ maxKeys: 10_000, nowMs });
  const limits = new Map<string, string>();
  let domains = domainsOf('[]');
  function define({ bucket: { name, algorithm }, limit, burst, perMs }: Ask): void {
    const own = `algorithm: ${algorithm}, per: ${perMs / 1000}s${burst === limit ? '' : `, burst: ${burst}`}`;
    const rateLimit = `rate_limit: { requests_per_unit: ${limit}, sluice: { ${own} } }`;
    const below = algorithm === 'concurrency' ? `descriptors: [{ key: request, ${rateLimit} }]` : rateLimit;
    if (limits.get(name) === below) return;
    limits.set(name, below);
    domains = domainsOf([...limits].map(([key, text]) => `- { key: ${key}, ${text} }`).join('\n'));
  }
  const entriesOf = ({ kind, bucket, key, idempotencyKey = '' }: Ask): [string, string][] => [
    [bucket.name, key],
    ...(bucket.algorithm === 'concurrency' ? [['request', idempotencyKey] as [string, string]] : []),
    ...(kind === 'release' ? [['stream_done', ''] as [string, string]] : []),
  ];
  const options = { domains: () => domains, poolOf: () => pool, nowMs };
  const served = rateLimitService({
    ...options,
    local: pool,
    metrics: new RatelimitMetrics(),
    settings: { ...REFERENCE_SETTINGS, charging: 'all or none' },
    localCache: undefined,
  });
  const inspector = limitInspector({ ...options, replica: '', settings: REFERENCE_SETTINGS, forget() {} });
  return {
    clock,
    bucket: ({ counter, algorithm }): Counter => ({ name: counter, algorithm }),
    async charge(given): Promise<readonly QuotaAnswer[]> {
      const asks = given as readonly Ask[];
      for (const ask of asks) {
        if (ask.kind === 'owe' || ask.kind === 'giveBack') throw new Error(NO_VERB);
        define(ask);
      }
      const { statuses } = await served.shouldRateLimit({
        domain: 'd',
        hits: 0,
        descriptors: asks.map((ask) => ({
          entries: entriesOf(ask),
          hits: ask.kind === 'spend' ? ask.cost : 0,
          override: undefined,
        })),
      });
      return statuses.map(({ code, currentLimit, remaining, resetS }) => ({
        granted: code === Code.OK,
        limit: currentLimit?.requestsPerUnit ?? -1,
        remaining,
        resetMs: (resetS ?? -1) * 1000,
      }));
    },
    async reset(asks) {
      for (const ask of asks as readonly Ask[]) await inspector.reset({ domain: 'd', entries: entriesOf(ask) });
    },
  };
}

describe.each(Object.entries(BEHAVIOURS_OF))('%s', (name, behaviours) => {
  const algorithm = name as Algorithm;
  const differs = { ...DIFFERS, ...DIFFERS_BY[algorithm] };
  for (const [says, show] of Object.entries(behaviours)) {
    const shown = async (): Promise<void> => show(countersOf(service(), algorithm));
    const why = differs[says];
    if (why === undefined) test(says, shown);
    else test(`not: ${says}; ${why}`, async () => expect(shown()).rejects.toThrow());
  }
});
