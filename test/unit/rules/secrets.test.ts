/** Secrets that rules read must not leak. */
import { describe, expect, test } from 'vitest';
import type { QuotaAsk } from '../../../src/adapters/contract.ts';
import { Attributes } from '../../../src/attributes/attributes.ts';
import { VOCABULARY } from '../../../src/attributes/vocabulary.ts';
import { compile } from '../../../src/expression/index.ts';
import { engineOf } from '../core/engine-of.ts';

describe("a quota's key", () => {
  async function keysOf(key: string, ...calls: readonly Record<string, unknown>[]): Promise<readonly string[]> {
    const asked: QuotaAsk[] = [];
    const { http } = await engineOf(
      `
handlers:
  q: { adapter: quota-script, config: { script: q } }
attributes:
  my.bearer: { is: 'request.headers["authorization"]' }
rules:
  - { name: per-caller, quota: { handler: q, limit: 9, per: 1h, key: [${key}] } }
`,
      {
        q: {
          charge: (asks) => {
            asked.push(...asks);
            return asks.map(({ limit }) => ({ granted: true, limit, remaining: 1, resetMs: 1 }));
          },
        },
      },
    );
    for (const call of calls) await http(call);
    return asked.map((ask) => ask.key);
  }
  const withKey = (key: string): Record<string, unknown> => ({
    'request.headers': { 'x-api-key': key, authorization: `Bearer ${key}`, 'x-user': key },
  });

  test.each(['request.api_key', 'request.headers["x-api-key"]', 'my.bearer'])(
    '%s is counted by a digest',
    async (key) => {
      const [one, other, again] = await keysOf(
        `'${key}'`,
        withKey('ann-12345'),
        withKey('bob-12345'),
        withKey('ann-12345'),
      );
      expect(one).not.toContain('ann-12345');
      expect(one).toMatch(/^s43:[\w-]{43}$/); // HMAC-SHA-256
      expect(again).toBe(one);
      expect(other).not.toBe(one);
    },
  );

  test('one without secrets, or with reveal, is written as it is', async () => {
    expect(await keysOf('\'request.headers["x-user"]\', reveal(request.api_key)', withKey('ann'))).toEqual([
      's3:ann,s3:ann',
    ]);
  });

  test('an absent one is absent', async () => {
    expect(await keysOf('request.api_key', { 'request.headers': {} })).toEqual(['-']);
  });
});

test("a report's fields hide the secret and keep the rest", async () => {
  const written: Readonly<Record<string, unknown>>[] = [];
  const { http, engine } = await engineOf(
    `
attributes:
  my.session: { is: 'request.headers["cookie"].split("=")[1]' }
  my.who: { is: 'request.headers[?"x-user"].orValue("nobody")' }
handlers:
  audit: { adapter: log-script, config: { script: audit } }
rules:
  - name: all
    calls: [http]
    report:
      handler: audit
      input:
        headers: request.headers
        query: request.query
        key: '"key " + request.?api_key.orValue("none")'
        cookie: request.headers["cookie"]
        session: my.session
        who: my.who
        agent: request.headers["user-agent"]
        has_cookie: has(request.headers.cookie)
        told: reveal(request.headers["cookie"])
`,
    {
      audit: {
        write: (entries) => {
          written.push(...entries.map(({ input }) => input));
        },
      },
    },
  );
  await http({
    'request.path': '/a?page=1&api_key=k-1',
    'request.headers': { cookie: 'sid=s-1', authorization: 'Bearer b-1', 'user-agent': 'curl', 'x-user': 'ann' },
  });
  await engine.flush();
  expect(written).toEqual([
    {
      headers: { cookie: '(secret)', authorization: '(secret)', 'user-agent': 'curl', 'x-user': 'ann' },
      query: { page: '1', api_key: '(secret)' },
      key: 'key (secret)',
      cookie: '(secret)',
      session: null,
      who: 'ann',
      agent: 'curl',
      has_cookie: true,
      told: 'sid=s-1',
    },
  ]);
});

describe('an expression exposes', () => {
  const attributes = new Attributes(VOCABULARY);
  function exposed(text: string): readonly string[] {
    const { compiled, problems } = compile(text, attributes);
    if (compiled === undefined) throw new Error(problems.map(({ message }) => message).join('\n'));
    return compiled.reads.flatMap(({ name, exposed: whole, keys }) => [
      ...(whole ? [name] : []),
      ...keys.flatMap((key) => (key.exposed ? [`${name}[${key.key}]`] : [])),
    ]);
  }

  test.each<[string, readonly string[]]>([
    ['request.api_key', ['request.api_key']],
    ['reveal(request.api_key)', []],
    ['reveal(request.api_key) + request.api_key', ['request.api_key']],
    ['request.headers["a"]', ['request.headers[a]']],
    ['request.headers.a', ['request.headers[a]']],
    ['request.headers[?"a"].orValue("")', ['request.headers[a]']],
    ['request.headers', ['request.headers']],
    ['request.headers[request.method]', ['request.headers', 'request.method']],
    ['request.headers["a"] == "x" && size(request.headers) > 1', ['request.headers', 'request.headers[a]']],
    ['has(request.headers.a)', []],
    ['has(request.api_key)', []],
    ['has(request.headers.a) ? request.headers.a : ""', ['request.headers[a]']],
    ['request.headers.map(name, request.headers[name])', ['request.headers']],
    ['reveal(request.headers).map(name, name)', []],
    ['reveal(request.headers["a"]) + request.headers["b"]', ['request.headers[b]']],
  ])('%s: %j', (text, names) => {
    expect(exposed(text).toSorted()).toEqual([...names].toSorted());
  });

  test('nothing by reveal() itself, which takes one value', () => {
    expect(compile('reveal(request.api_key, 1)', attributes).problems).toMatchObject([
      { code: 'EXPRESSION_NO_OVERLOAD', message: expect.stringContaining('reveal() takes one value') as string },
    ]);
    expect(compile('reveal("x")', attributes).compiled?.constant).toBe('x');
  });
});
