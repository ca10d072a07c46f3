/**
 * Compares `sluice ratelimit` with envoyproxy/ratelimit: the same file, settings and requests, a Redis each. Answers, keys, counts and
 * metrics must be equal. Then both share one Redis, as during a migration. Needs Go. `npm run ratelimit:reference`.
 */
import { referenceProgram } from '../test/parts/ratelimits.ts';
import { startRedis } from '../test/parts/redis.ts';
import { type Both, differenceOf, type Request, requestText, startPair } from './ratelimit-wide/pair.ts';
import { Random } from '../test/parts/random.ts';

const RUNS = Number(process.env['RUNS'] ?? 2000);

const FILES = {
  'config.shop.yaml': `
domain: shop
descriptors:
  - key: user
    rate_limit: { unit: day, requests_per_unit: 20 }
    descriptors:
      - key: path
        value: /a
        rate_limit: { unit: week, requests_per_unit: 7, name: a }
      - key: path
        rate_limit: { unit: month, requests_per_unit: 12, replaces: [{ name: two }] }
  - key: user
    value: ann
    rate_limit: { unit: day, requests_per_unit: 5 }
    shadow_mode: true
  - key: user
    value: bob
    rate_limit: { unlimited: true }
  - key: files
    value: img/*
    share_threshold: true
    rate_limit: { unit: day, requests_per_unit: 9 }
  - key: files
    value: js/*
    value_to_metric: true
    rate_limit: { unit: day, requests_per_unit: 3 }
  - key: two
    rate_limit: { unit: year, requests_per_unit: 4, name: two }
  - key: detailed
    detailed_metric: true
    rate_limit: { unit: day, requests_per_unit: 6 }
    descriptors:
      - key: more
        rate_limit: { unit: day, requests_per_unit: 2 }
  - key: none
  - key: zero
    rate_limit: { unit: day, requests_per_unit: 0 }
  - key: a_b
    rate_limit: { unit: day, requests_per_unit: 3 }
`,
};

function randomRequest(random: Random): Request {
  const entry = (): { key: string; value: string } =>
    random.one([
      { key: 'user', value: random.one(['ann', 'bob', 'cid', 'dan', '10.0.0.1', 'a:b|c']) },
      { key: 'files', value: random.one(['img/1', 'img/2', 'js/1', 'css']) },
      { key: 'two', value: random.one(['', 'x']) },
      { key: 'detailed', value: random.one(['p', 'q.r']) },
      { key: 'none', value: '1' },
      { key: 'zero', value: '' },
      { key: 'a', value: 'b' },
      { key: 'what', value: 'ever' },
    ]);
  return {
    domain: random.one(['shop', 'shop', 'shop', 'shop', 'shop', 'shop', 'other', '']),
    hitsAddend: random.one([0, 0, 0, 1, 2]),
    descriptors: Array.from({ length: random.one([0, 1, 1, 1, 2, 3]) }, () => ({
      entries: [
        entry(),
        ...(random.below(3) === 0 ? [{ key: random.one(['path', 'more']), value: random.one(['/a', '/b']) }] : []),
      ],
      ...(random.below(10) === 0
        ? { limit: { requestsPerUnit: random.below(6), unit: random.one([3, 4, 5, 6]) } }
        : {}),
      ...(random.below(6) === 0 ? { hitsAddend: BigInt(random.below(4)) } : {}),
    })),
  };
}

function same(what: string, both: Both<unknown>): void {
  const difference = differenceOf(both);
  if (difference !== undefined) throw new Error(`${what} differs${difference}`);
}

const program = await referenceProgram();
if (program === undefined) throw new Error('envoyproxy/ratelimit is built with Go, which is not in the PATH');
const redis = [await startRedis(), await startRedis()] as const;
try {
  for (const [what, settings] of Object.entries<Record<string, string>>({
    plain: {},
    'a local cache': { LOCAL_CACHE_SIZE_IN_BYTES: '100000' },
    'keys are not counted when over': { STOP_CACHE_KEY_INCREMENT_WHEN_OVERLIMIT: 'true' },
    'headers, a prefix, shadow mode': {
      LIMIT_RESPONSE_HEADERS_ENABLED: 'true',
      CACHE_KEY_PREFIX: 'p:',
      SHADOW_MODE: 'true',
      NEAR_LIMIT_RATIO: '0.5',
    },
  })) {
    const pair = await startPair({ program, redis, files: FILES, settings });
    try {
      for (let seed = 0; seed < RUNS; seed++) {
        const request = randomRequest(new Random(seed));
        same(`${what}: answer ${seed} to ${requestText(request)}`, await pair.answers(request));
      }
      const counts = await pair.counts();
      same(`${what}: keys and counts`, counts);
      const metrics = await pair.metrics();
      same(`${what}: metrics`, metrics);
      console.log(
        `ok  ${what}: ${RUNS} answers, ${Object.keys(counts[0]).length} counters and ${Object.keys(metrics[0]).length} metrics are the same`,
      );
    } finally {
      await pair.close();
    }
  }
  // A fleet in migration: both servers on one Redis.
  const pair = await startPair({ program, redis: [redis[0], redis[0]], files: FILES, settings: {} });
  try {
    const remaining: unknown[] = [];
    for (let turn = 0; turn < 22; turn++) {
      const answer = (await pair.answerOf(turn % 2 === 0 ? 0 : 1, {
        domain: 'shop',
        descriptors: [{ entries: [{ key: 'user', value: 'eve' }] }],
      })) as { statuses: { limitRemaining?: number }[] };
      remaining.push(answer.statuses[0]?.limitRemaining ?? 0);
    }
    same('taking turns on one Redis', [remaining, Array.from({ length: 22 }, (_, turn) => Math.max(0, 19 - turn))]);
    console.log('ok  taking turns on one Redis: each sees what the other has counted');
  } finally {
    await pair.close();
  }
} finally {
  await Promise.all(redis.map(async (one) => one.stop()));
}
