/** Starts the long test files first, so that all workers end together; without it a fresh checkout starts the largest files first. */
import { existsSync } from 'node:fs';
import { join, relative } from 'node:path';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

const ROOT = join(import.meta.dirname, '../..');

/** Files of more than 12 s on an idle machine with two cores, the longest first; the order need not be exact. */
const LONG = [
  'test/e2e/plugins.test.ts',
  'test/e2e/workers.test.ts',
  'test/e2e/ratelimit-workers.test.ts',
  'test/e2e/burst.test.ts',
  'test/e2e/log.test.ts',
  'test/e2e/faulty-plugins.test.ts',
  'test/e2e/ratelimit-redis.test.ts',
  'test/e2e/remote-plugins.test.ts',
  'plugins/quota-redis/quota-redis.test.ts',
  'plugins/enrich-kubernetes/enrich-kubernetes.test.ts',
  'test/unit/serve/isolation.test.ts',
  'test/unit/adapters/kit.test.ts',
  'plugins/log-kafka/log-kafka.test.ts',
  'test/e2e/ratelimit.test.ts',
  'test/e2e/bad-input.test.ts',
  'test/e2e/plugin-examples.test.ts',
  'test/e2e/ratelimit-algorithms.test.ts',
  'test/e2e/limits.test.ts',
  'test/unit/counting/failover.test.ts',
  'test/unit/rules/findings.test.ts',
  'plugins/quota-memory/quota-memory.test.ts',
  'test/e2e/http-services.test.ts',
  'plugins/check-list/check-list.test.ts',
  'test/e2e/ratelimit-tracing.test.ts',
  'test/e2e/ratelimit-holders.test.ts',
  'test/e2e/ratelimit-burst.test.ts',
  'test/e2e/worker-process.test.ts',
  'test/e2e/policy-watch.test.ts',
  'test/e2e/wrong-peers.test.ts',
  'test/e2e/reload.test.ts',
  'test/e2e/kafka-audit.test.ts',
  'test/e2e/charge-after.test.ts',
  'plugins/check-http/outage.test.ts',
  'test/unit/serve/credentials-burst.test.ts',
  'test/e2e/istio-compare.test.ts',
  'test/e2e/isolation.test.ts',
  'test/e2e/package.test.ts',
  'plugins/enrich-table/enrich-table.test.ts',
  'test/e2e/demo.test.ts',
];
for (const file of LONG)
  if (!existsSync(join(ROOT, file)))
    throw new Error(`test/parts/longest-first.ts: there is no ${file}; remove or rename it`);

export class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const rank = ({ moduleId }: TestSpecification): number => {
      const at = LONG.indexOf(relative(ROOT, moduleId));
      return at === -1 ? LONG.length : at;
    };
    return (await super.sort(files)).toSorted((a, b) => rank(a) - rank(b));
  }
}
