/** Ten thousand calls with credentials at once, which cannot be verified now: none passes, none waits, others are served. */
import { createHash } from 'node:crypto';
import bcrypt from 'bcryptjs';
import { Redis } from 'ioredis';
import { exportJWK, generateKeyPair, SignJWT } from 'jose';
import { expect, onTestFinished, test } from 'vitest';
import { loadBuiltIns } from '../../../src/adapters/loading/built-in.ts';
import { eventually } from '../../../src/adapters/testing/index.ts';
import { type HttpService, json, startHttpService } from '../../parts/http-service.ts';
import { startRedis } from '../../parts/redis.ts';
import { runPolicy, type RunningPolicy } from '../../parts/running-policy.ts';
import { makeWorkspace } from '../../parts/workspace.ts';

const CALLS = 10_000;
const MIB = 1024 ** 2;
const adapters = await loadBuiltIns();

interface Backend {
  readonly config: object;
  /** The headers of a call that is allowed once the backend answers, and of others that never are. */
  readonly good: Readonly<Record<string, string>>;
  readonly bad: (call: number) => Readonly<Record<string, string>>;
  /** Connections that the handler has open; Redis: has had. */
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
      connections: () => service.connections.open,
      answer() {
        const answer = async (): Promise<object> => ({
          keys: [{ ...(await exportJWK(publicKey)), kid: 'k', alg: 'ES256' }],
        });
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
      connections: () => service.connections.open,
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

interface Asking extends RunningPolicy {
  /** `allow`, or the outcome and the rule. */
  readonly ask: (path: string, headers?: object) => Promise<string>;
  /** Calls without credentials get their verdicts. */
  readonly others: () => Promise<void>;
  /** The outcomes of 10 000 calls at once, of which none waits behind the others. */
  readonly burst: (headersOf: (call: number) => object) => Promise<string[]>;
  readonly complaints: () => readonly unknown[];
}

async function asking(handler: string): Promise<Asking> {
  const policy = await runPolicy(
    `handlers:
  asked: { ${handler}, deadline: 500ms, breaker: { failures: 1000000 } }
  known: { adapter: check-list, config: { values: [/open] } }
rules:
  - { name: with-credentials, match: 'request.url_path == "/closed"', check: { handler: asked } }
  - { name: without, match: 'request.url_path != "/closed"', check: { handler: known, input: { value: request.path } } }
`,
    { adapters },
  );
  const ask: Asking['ask'] = async (path, headers = {}) => {
    const { outcome, rule } = await policy.check(
      { 'request.method': 'GET', 'request.path': path, 'request.headers': headers },
      { remainingMs: 5000, signal: undefined },
    );
    return outcome === 'allow' ? outcome : `${outcome} by ${rule}`;
  };
  const others = async (): Promise<void> =>
    expect(await Promise.all([ask('/open'), ask('/else')])).toEqual(['allow', 'deny by without']);
  return {
    ...policy,
    ask,
    others,
    async burst(headersOf) {
      await others();
      const before = process.memoryUsage().rss;
      const answered = Promise.all(Array.from({ length: CALLS }, (_, call) => ask('/closed', headersOf(call))));
      await others();
      const outcomes = new Set(await answered);
      expect(process.memoryUsage().rss - before).toBeLessThan(300 * MIB);
      await others();
      return [...outcomes];
    },
    complaints: () => policy.logged.filter(({ level }) => level === 'warn' || level === 'error'),
  };
}

test.each(Object.keys(BACKENDS))(
  '10 000 calls at %s fail in time while its backend hangs; others are served, and it recovers by itself',
  async (adapter) => {
    const backend = await (BACKENDS[adapter] as () => Promise<Backend>)();
    const { ask, burst, complaints } = await asking(`adapter: ${adapter}, config: ${JSON.stringify(backend.config)}`);
    if (backend.hang !== undefined) {
      await eventually(async () => expect(await ask('/closed', backend.good)).toBe('allow'));
      backend.hang();
    }
    expect(await burst(backend.bad)).toEqual(['failed by with-credentials']);
    await eventually(() => expect(backend.connections()).toBeLessThanOrEqual(64));
    expect(complaints().length).toBeLessThanOrEqual(3);

    backend.answer();
    await eventually(async () => expect(await ask('/closed', backend.good)).toBe('allow'), 20_000);
    expect(await ask('/closed', backend.bad(-1))).toBe('deny by with-credentials');
    await eventually(() => expect(backend.connections()).toBeGreaterThan(0));
  },
);

test('10 000 wrong passwords at auth-basic in a process of its own keep that process busy alone', async () => {
  const workspace = makeWorkspace({ users: `ann:${await bcrypt.hash('secret', 10)}\n` });
  onTestFinished(() => workspace.remove());
  const { ask, burst, complaints, engine } = await asking(
    `adapter: auth-basic, run: worker, config: { file: ${workspace.path('users')} }`,
  );
  const basic = (password: string) => ({ authorization: `Basic ${btoa(`ann:${password}`)}` });
  await eventually(async () => expect(await ask('/closed', basic('secret'))).toBe('allow'));
  // Those that are verified in time are refused; the others fail.
  const outcomes = await burst((call) => basic(`wrong ${call}`));
  expect(outcomes).toContain('failed by with-credentials');
  expect(outcomes.filter((outcome) => !outcome.endsWith('by with-credentials'))).toEqual([]);
  expect(complaints().length).toBeLessThanOrEqual(3);
  await eventually(async () => expect(await ask('/closed', basic('secret'))).toBe('allow'), 20_000);
  await eventually(async () => expect(await ask('/closed', basic('other'))).toBe('deny by with-credentials'), 20_000);
  expect(engine.handlers().find(({ name }) => name === 'asked')?.restarts).toBe(0);
});
