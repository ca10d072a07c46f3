/** Starts the long test files first, so that all workers end together; without it a fresh checkout starts the largest files first. */
import { join, relative } from 'node:path';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

const ROOT = join(import.meta.dirname, '../..');

/** Files of more than 14 s in a whole run on two cores, the longest first; the order need not be exact. */
export const LONG: readonly string[] = [
  'test/e2e/alerts.test.ts',
  'test/e2e/package.test.ts',
  'test/e2e/faulty-plugins.test.ts',
  'test/e2e/ratelimit-redis.test.ts',
  'test/e2e/plugins.test.ts',
  'test/e2e/log.test.ts',
  'plugins/log-kafka/log-kafka.test.ts',
  'plugins/log-kafka/cluster.test.ts',
  'test/e2e/ratelimit.test.ts',
  'test/e2e/ratelimit-workers.test.ts',
  'test/e2e/workers.test.ts',
  'test/e2e/spool-faults.test.ts',
  'test/e2e/alerts-mesh.test.ts',
  'test/e2e/burst.test.ts',
  'test/e2e/remote-kills.test.ts',
  'test/e2e/hostile-report-plugins.test.ts',
  'test/e2e/plugin-examples.test.ts',
  'test/e2e/smallest-plugin.test.ts',
  'test/e2e/escrow-faults.test.ts',
  'test/e2e/ratelimit-algorithms.test.ts',
  'test/unit/adapters/kit.test.ts',
  'test/unit/counting/failover.test.ts',
  'test/unit/counting/proxies.test.ts',
  'test/e2e/dead-letters.test.ts',
  'test/e2e/remote-plugins.test.ts',
  'test/e2e/candidate.test.ts',
  'plugins/quota-redis/quota-redis.test.ts',
  'test/e2e/xds.test.ts',
  'test/e2e/xds-late.test.ts',
  'test/e2e/mesh-restarts.test.ts',
  'test/e2e/no-loss-kafka.test.ts',
  'plugins/enrich-kubernetes/enrich-kubernetes.test.ts',
  'test/e2e/bad-input.test.ts',
  'test/e2e/charge-after.test.ts',
  'test/unit/adapters/plugins-page.test.ts',
  'test/unit/serve/isolation.test.ts',
  'test/e2e/log-streams.test.ts',
  'test/e2e/bookinfo-mtls.test.ts',
  'test/e2e/ratelimit-tracing.test.ts',
  'test/e2e/reload.test.ts',
  'test/e2e/worker-process.test.ts',
  'test/e2e/limits.test.ts',
  'test/e2e/page-live.test.ts',
  'test/e2e/record.test.ts',
  'test/e2e/envoy-command.test.ts',
  'test/e2e/bookinfo.test.ts',
  'test/unit/cli/new-plugin.test.ts',
  'test/e2e/wrong-peers.test.ts',
  'test/e2e/page.test.ts',
  'test/e2e/policy-watch.test.ts',
  'test/e2e/agent.test.ts',
  'test/e2e/boards.test.ts',
  'test/unit/spool/spool.test.ts',
  'test/e2e/demo.test.ts',
  'test/e2e/interception.test.ts',
  'test/e2e/istio-tasks.test.ts',
  'test/e2e/mesh.test.ts',
  'test/e2e/isolation.test.ts',
  'test/e2e/kafka-audit.test.ts',
  'plugins/check-list/check-list.test.ts',
  'test/e2e/istio-metrics.test.ts',
  'test/e2e/mutual-tls.test.ts',
  'test/e2e/istio-compare.test.ts',
  'test/e2e/no-loss.test.ts',
  'plugins/check-http/outage.test.ts',
  'test/e2e/ratelimit-holders.test.ts',
  'test/e2e/page-tools.test.ts',
  'test/e2e/http-services.test.ts',
  'test/e2e/serve.test.ts',
  'test/e2e/tutorial.test.ts',
  'test/unit/rules/findings.test.ts',
  'test/e2e/hung-sinks.test.ts',
  'test/e2e/live.test.ts',
  'test/e2e/shutdown.test.ts',
];

export class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const rank = ({ moduleId }: TestSpecification): number => {
      const at = LONG.indexOf(relative(ROOT, moduleId));
      return at === -1 ? LONG.length : at;
    };
    return (await super.sort(files)).toSorted((a, b) => rank(a) - rank(b));
  }
}
