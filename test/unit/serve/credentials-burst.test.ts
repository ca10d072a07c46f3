/** Ten thousand calls with credentials at once, while the service that knows them hangs: none passes, none waits, others are served. */
import { exportJWK, generateKeyPair, SignJWT } from 'jose';
import { Redis } from 'ioredis';
import { createHash } from 'node:crypto';
import { expect, onTestFinished, test } from 'vitest';
import { loadBuiltIns } from '../../../src/adapters/loading/built-in.ts';
import { eventually } from '../../../src/adapters/testing/index.ts';
import { type HttpService, json, startHttpService } from '../../parts/http-service.ts';
import { startRedis } from '../../parts/redis.ts';
import { runPolicy } from '../../parts/running-policy.ts';

const CALLS = 10_000;
const MIB = 1024 ** 2;
const adapters = await loadBuiltIns();

interface Backend {
  readonly config: object;
  /** The headers of a call that is allowed once the backend answers, and of others that never are. */
  readonly good: Readonly<Record<string, string>>;
  readonly bad: (call: number) => Readonly<Record<string, string>>;
  /** Connections that it has had from the handler. */
  readonly connections: () => number;
  /** From the start, if there is no `hang`. */
  hang?: () => void;
  answer(): void;
}

async function hungService(): Promise<HttpService> {
  const service = await startHttpService(() => undefined);
  onTestFinished(() => service.stop());
  return service;
}

const bearer = (token: string) => ({ authorization: `Bearer ${token}` });
const word = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');

const BACKENDS: Readonly<Record<string, () => Promise<Backend>>> = {
  async jwt() {
    const service = await hungService();
    const { publicKey, privateKey } = await generateKeyPair('ES256', { extractable: true });
    const claims = { iss: 'https://issuer.test', exp: Math.floor(Date.now() / 1000) + 600 };
    const head = word({ alg: 'ES256', kid: 'k' });
    return {
      config: { issuers: [{ issuer: claims.iss, url: `${service.url}/keys` }] },
      good: bearer(await new SignJWT(claims).setProtectedHeader({ alg: 'ES256', kid: 'k' }).sign(privateKey)),
      bad: (call) => bearer(`${head}.${word({ ...claims, sub: `user ${call}` })}.${'A'.repeat(86)}`),
      connections: () => service.connections.all,
      answer() {
        const answer = async (): Promise<object> => ({ keys: [{ ...(await exportJWK(publicKey)), kid: 'k', alg: 'ES256' }] });
        service.answer = (_, response) => void answer().then((keys) => json(response, keys));
      },
    };
  },
  async 'auth-introspection'() {
    const service = await hungService();
    return {
      config: { url: service.url, clientId: 'shop', clientSecret: 's' },
      good: bearer('good'),
      bad: (call) => bearer(`token-${call}`),
      connections: () => service.connections.all,
      answer() {
        service.answer = ({ body }, response) => json(response, { active: body.includes('token=good') });
      },
    };
  },
  async 'auth-keys'() {
    const redis = await startRedis();
    onTestFinished(() => redis.stop());
    const admin = new Redis(redis.url);
    await admin.hset(`apikey:${createHash('sha256').update('good').digest('hex')}`, 'owner', 'ann');
    const before = Number(/total_connections_received:(\d+)/.exec(await admin.info('stats'))?.[1]);
    let connections = 0;
    return {
      config: { redis: { url: redis.url }, cacheMs: 0 },
      good: { 'x-api-key': 'good' },
      bad: (call) => ({ 'x-api-key': `key-${call}` }),
      connections: () => connections,
      hang: () => redis.freeze(),
      answer() {
        redis.thaw();
        void admin.info('stats').then((stats) => {
          connections = Number(/total_connections_received:(\d+)/.exec(stats)?.[1]) - before;
          admin.disconnect();
        });
      },
    };
  },
};

test.each(Object.keys(BACKENDS))(
  '10 000 calls at %s fail in time while its backend hangs; others are served, and it recovers by itself',
  async (adapter) => {
    const backend = await (BACKENDS[adapter] as () => Promise<Backend>)();
    const policy = await runPolicy(
      `handlers:
  asked: { adapter: ${adapter}, config: ${JSON.stringify(backend.config)}, deadline: 500ms, breaker: { failures: 1000000 } }
  known: { adapter: check-list, config: { values: [/open] } }
rules:
  - { name: with-credentials, match: 'request.path == "/closed"', check: { handler: asked } }
  - { name: without, match: 'request.path != "/closed"', check: { handler: known, input: { value: request.path } } }
`,
      { adapters },
    );
    const ask = async (path: string, headers: object = {}): Promise<string> => {
      const { outcome, rule } = await policy.check({ 'request.method': 'GET', 'request.path': path, 'request.headers': headers });
      return outcome === 'allow' ? outcome : `${outcome} by ${rule}`;
    };
    const others = async (): Promise<void> =>
      expect(await Promise.all([ask('/open'), ask('/else')])).toEqual(['allow', 'deny by without']);

    if (backend.hang !== undefined) {
      await eventually(async () => expect(await ask('/closed', backend.good)).toBe('allow'));
      backend.hang();
    }
    await others();
    const before = process.memoryUsage().rss;
    const answered = Promise.all(Array.from({ length: CALLS }, (_, call) => ask('/closed', backend.bad(call))));
    await others();
    const outcomes = Map.groupBy(await answered, (outcome) => outcome);
    expect([...outcomes.keys()]).toEqual(['failed by with-credentials']);
    expect(process.memoryUsage().rss - before).toBeLessThan(300 * MIB);
    expect(backend.connections()).toBeLessThanOrEqual(64);
    await others();
    expect(policy.logged.filter(({ level }) => level === 'warn' || level === 'error').length).toBeLessThanOrEqual(3);

    backend.answer();
    await eventually(async () => expect(await ask('/closed', backend.good)).toBe('allow'), 20_000);
    expect(await ask('/closed', backend.bad(-1))).toBe('deny by with-credentials');
    await eventually(() => expect(backend.connections()).toBeGreaterThan(0));
  },
);
