/**
 * Whether a limit holds in a burst: simultaneous calls of one user over a limit of 5, for each algorithm in memory, in Redis and with
 * escrow. `node bench/burst.ts [CALLS] [TIMEOUT_MS]` prints passed / sent and the other results. It measures no time.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { burstOfChecks } from '../test/parts/burst.ts';
import { startRedis } from '../test/parts/redis.ts';
import { startOnCore } from './process.ts';

const calls = Number(process.argv[2] ?? 10_000);
const timeoutMs = Number(process.argv[3] ?? 30_000);
const LIMIT = 5;

const redis = await startRedis();
const folder = await mkdtemp(join(tmpdir(), 'sluice-burst-'));
const kinds = [
  ...['memory', 'redis'].flatMap((handler) =>
    ['fixed', 'sliding', 'gcra', 'log'].map((algorithm) => ({ handler, algorithm })),
  ),
  ...['fixed', 'sliding', 'gcra'].map((algorithm) => ({ handler: 'escrow', algorithm })),
].map((kind) => ({ ...kind, user: `${kind.handler}-${kind.algorithm}` }));
const url = redis.url;
await writeFile(
  join(folder, 'policy.yaml'),
  JSON.stringify({
    handlers: {
      memory: { adapter: 'quota-memory' },
      redis: { adapter: 'quota-redis', config: { url } },
      escrow: { adapter: 'quota-redis', config: { url, prefix: 'escrow:', escrow: true } },
    },
    rules: kinds.map(({ handler, algorithm, user }) => ({
      name: user,
      match: `request.headers["x-user"] == "${user}"`,
      quota: { handler, algorithm, limit: LIMIT, per: '1h', key: [] },
    })),
  }),
);
const server = await startOnCore(
  0,
  ['src/cli/bin.ts', 'serve', folder, '--grpc', '127.0.0.1:0', '--log-level', 'warn'],
  /gRPC\s+\S*?127\.0\.0\.1:(\d+)/,
);
try {
  for (const { user } of kinds) {
    const { passed, refused, failed } = await burstOfChecks(Number(server.match[1]), user, { calls, timeoutMs });
    console.log(
      `${user.padEnd(16)} ${passed} passed / ${calls} asked${passed > LIMIT ? '  TOO MANY' : ''}; ${refused} refused${Object.entries(
        failed,
      )
        .map(([what, times]) => `, ${times} x ${what}`)
        .join('')}`,
    );
  }
} finally {
  await server.stop();
  await redis.stop();
  await rm(folder, { recursive: true, force: true });
}
