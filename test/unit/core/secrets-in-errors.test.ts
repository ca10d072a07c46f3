/** No error of a plugin shows a secret of its input or of its config, wherever the error is shown. */
import { expect, test, vi } from 'vitest';
import { z } from 'zod';
import { allow, defineAdapter, type Host, Rejected, Unavailable } from '../../../src/adapters/contract.ts';
import type { Wire } from '../../../src/attributes/bag.ts';
import { plainWire } from '../../../src/attributes/plain-wire.ts';
import { MAX_REASON } from '../../../src/core/text-bounds.ts';
import { engineOf, PATIENT, type TestEngine } from './engine-of.ts';

/** Of the request, then of the config: marked, from the environment, in a header, in a URL; then of the params of a rule. */
const SECRETS = ['hunter2-of-ann', 'marked-pass', 'token-of-env', 'header-value', 'p@ss/of-url', 'key-of-a-rule'];
const REQUEST = {
  'request.headers': new Map([['authorization', `Bearer ${SECRETS[0]}`]]),
};

type Way = (said: string) => unknown;
interface Leaky {
  readonly open?: Way;
  readonly check?: Way;
  readonly prepare?: Way;
  readonly lookup?: Way;
  readonly charge?: Way;
  readonly write?: Way;
  readonly sink?: Way;
  readonly close?: Way;
  readonly host?: (host: Host, said: string) => void;
  readonly said?: (host: Host, key: string) => void;
}

const CONFIG = z.strictObject({
  password: z.string().describe('A password.').meta({ secret: true }),
  token: z.string().describe('From the environment.'),
  headers: z.record(z.string(), z.string().meta({ secret: true })).describe('Headers.'),
  url: z.string().describe('A URL with a password.'),
});

const PARAMS = z.strictObject({
  key: z
    .string()
    .transform((key) => key.trim())
    .default('none')
    .describe('A key.')
    .meta({ secret: true }),
});

/** It repeats all that it was given, in whatever it throws. */
const leaky = (ways: Leaky) =>
  defineAdapter({
    name: 'leaky',
    summary: 'For these tests.',
    config: CONFIG,
    serves: {
      check: { params: PARAMS, input: { value: 'string' } },
      enrich: { params: PARAMS, input: { value: 'string' }, output: { name: 'string' } },
      quota: { params: PARAMS, algorithms: ['fixed'] },
      report: { params: PARAMS, input: 'any' },
    },
    async open({ password, token, headers, url }, host) {
      const all = `${password} ${token} ${Object.values(headers).join()} ${url} ${decodeURIComponent(url)}`;
      const fail = (way: Way | undefined, more: unknown = ''): void => {
        if (way !== undefined) throw way(`${all} ${String(more)} and ${Buffer.from(password).toString('base64')}`);
      };
      fail(ways.open);
      ways.host?.(host, all);
      await Promise.resolve();
      return {
        check: ({ params: { key } }) => {
          fail(ways.prepare, key);
          return ({ value }) => {
            ways.said?.(host, key);
            fail(ways.check, `${value} ${key}`);
            return allow();
          };
        },
        lookup:
          ({ params: { key: secret } }) =>
          ({ value }) => {
            fail(ways.lookup, `${value} ${secret}`);
            return { name: 'ann' };
          },
        bucket: ({ params }) => params,
        charge: async (asks) => {
          await Promise.resolve();
          fail(ways.charge, asks.map(({ key, bucket }) => `${key} ${JSON.stringify(bucket)}`).join());
          return asks.map(({ limit }) => ({ granted: true, limit, remaining: limit, resetMs: 1000 }));
        },
        sink: ({ params }) => {
          fail(ways.sink, params.key);
          return params;
        },
        write: (entries) => fail(ways.write, JSON.stringify(entries.map(({ sink }) => sink))),
        close: () => fail(ways.close),
      };
    },
  });

const GIVEN = 'reveal(request.headers["authorization"])';
const POLICY = `
handlers:
  h:
    adapter: leaky
    config:
      password: ${SECRETS[1]}
      token: { $env: TOKEN }
      headers: { x-key: ${SECRETS[3]} }
      url: "redis://ann:${encodeURIComponent(SECRETS[4] ?? '')}@127.0.0.1/0"
rules:
`;
const KEY = `{ key: '${SECRETS[5]} ' }`;
const RULES = {
  check: `  - { name: r, check: { handler: h, params: ${KEY}, input: { value: '${GIVEN}' } } }`,
  lookup: `  - { name: r, enrich: { handler: h, params: ${KEY}, input: { value: '${GIVEN}' }, as: my.user } }
  - { name: reads, match: my.user.name == "bob", deny: {} }`,
  charge: `  - { name: r, quota: { handler: h, params: ${KEY}, limit: 9, per: 1m, key: ['${GIVEN}'] } }`,
  write: `  - { name: r, report: { handler: h, params: ${KEY}, input: { a: request.path } } }`,
};

const engineWith = (ways: Leaky, rules: string): Promise<TestEngine> =>
  engineOf(POLICY + rules, {}, {}, [leaky(ways)], { TOKEN: SECRETS[2] ?? '' });

function expectNone(shown: unknown): void {
  const text = JSON.stringify(shown, (_, value: unknown) =>
    value instanceof Error ? [value.message, value.stack, value.cause] : value,
  );
  for (const secret of SECRETS) expect(text).not.toContain(secret);
  expect(text).not.toContain(encodeURIComponent(SECRETS[4] ?? ''));
  expect(text).not.toContain(Buffer.from(SECRETS[1] ?? '').toString('base64'));
}

const THROWN: readonly [string, Way][] = [
  ['a fault', (said) => new TypeError(said)],
  ['a text', (said) => said],
  ['an unavailable backend', (said) => new Unavailable(said)],
  ['a rejected call', (said) => new Rejected(said)],
];

test.each(
  (['check', 'lookup', 'charge'] as const).flatMap((method) =>
    THROWN.map(([what, way]) => [method, what, way] as const),
  ),
)('%s, %s: log, state, verdicts', async (method, _, way) => {
  const { engine, http, logged } = await engineWith({ [method]: way }, RULES[method]);
  for (let call = 0; call < 20; call++) await http(REQUEST);
  expect(logged.length).toBeGreaterThan(0);
  const [state] = engine.handlers();
  if (!(way('') instanceof Rejected)) expect(state?.lastError?.why).toContain('(secret)');
  expectNone([logged, state, engine.verdicts({ limit: 10 })]);
  // An operator sees which part of the config it was, and what the rest says.
  expect(JSON.stringify(logged)).toContain('{ $env: TOKEN }');
  expect(JSON.stringify(logged)).toContain('127.0.0.1/0');
});

test('one text of several calls has the secrets of each of them replaced, and no others', async () => {
  const why = 'no user ann-and-bob is known';
  const policy = `handlers: { h: { adapter: check-script, config: { script: h } } }\nrules:\n${RULES.check.replace(`params: ${KEY}, `, '')}`;
  const { http, engine } = await engineOf(policy, { h: { check: () => Promise.reject(new Unavailable(why)) } });
  const shown: (string | undefined)[] = [];
  for (const user of ['nobody', 'ann-and-bob', 'nobody']) {
    await http({ 'request.headers': new Map([['authorization', `Bearer ${user}`]]) });
    shown.push(engine.handlers()[0]?.lastError?.why);
  }
  const hidden = why.replace('ann-and-bob', '(secret)');
  expect(shown).toEqual([why, hidden, why].map((text) => `[check-script/h] ${text}`));
});

test('params of rules, after reloads that keep the handler', async () => {
  const { engine, http, load, logged } = await engineWith(
    { check: (said) => new Error(said), said: (host, key) => host.log.warn(`asked with ${key}`, { key }) },
    RULES.check,
  );
  const keys = [SECRETS[5] ?? '', 'a-later-key-of-it', 'the-last-key-of-it'];
  for (const key of keys) {
    await engine.use(await load(POLICY + RULES.check.replace(SECRETS[5] ?? '', key)));
    await http(REQUEST);
  }
  const text = JSON.stringify([logged, engine.handlers(), engine.verdicts({ limit: 10 })]);
  for (const key of keys) expect(text).not.toContain(key);
  expect(text).toContain('asked with (secret)');
  expect(engine.handlers()[0]?.lastError?.why).toContain('(secret)');
});

test('a secret in which a message is cut shows no part of itself', async () => {
  let before = MAX_REASON - 200;
  const { engine, http } = await engineWith(
    { check: (said) => new Rejected('x'.repeat(before++) + said.slice(said.indexOf('hunter2'))) },
    RULES.check,
  );
  for (let call = 0; call < 200; call++) await http(REQUEST);
  const text = JSON.stringify(engine.verdicts({ limit: 200 }));
  expect(text).toContain('(secret)');
  expect(text).not.toContain('hunter2');
});

test.each(THROWN)('a batch of reports, %s: log, state, dead letters', async (_, way) => {
  const { engine, log, logged } = await engineWith({ write: way }, RULES.write);
  await log();
  await vi.waitFor(() => expect(logged.length).toBeGreaterThan(0));
  const letters = await engine.letters({ handler: 'h', kind: 'list' });
  expectNone([logged, engine.handlers(), letters]);
  expect(JSON.stringify([logged, letters])).toContain('{ $env: TOKEN }');
});

test.each([
  ['open', RULES.check],
  ['prepare', RULES.check],
  ['sink', RULES.write],
] as const)('%s of a policy that is refused', async (method, rules) => {
  const refused: unknown = await engineWith({ [method]: (said: string) => new Error(said) }, rules).catch(
    (error: unknown) => error,
  );
  expect(String(refused)).toContain('{ $env: TOKEN }');
  expectNone([refused, String(refused)]);
});

test('an error after the deadline, when the bytes of its request are those of another one', async () => {
  const why = `refused ${SECRETS[0]}`;
  const slow = Promise.withResolvers<never>();
  const answers = [() => slow.promise, () => Promise.reject(new Unavailable(why))];
  const policy = `handlers: { h: { adapter: check-script, deadline: 20ms, config: { script: h } } }\nrules:\n${RULES.check.replace(`params: ${KEY}, `, '')}`;
  const { engine, http, load, logged } = await engineOf(policy, { h: { check: () => answers.shift()?.() ?? allow() } });
  const { attributes } = await load(policy);
  const wireOf = (authorization: string) =>
    plainWire(attributes, { 'request.headers': new Map([['authorization', authorization]]) }, {}, 'http');
  let now = wireOf(`Bearer ${SECRETS[0]}`);
  const reused: Wire = {
    weight: 0,
    keep: () => undefined,
    read: (attribute, number) => now.read(attribute, number),
    carried: (carrier) => now.carried(carrier),
  };
  await engine.check('http', reused, PATIENT);
  now = wireOf('Bearer another');
  slow.reject(new Unavailable(why));
  await vi.waitFor(() => expect(engine.handlers()).toMatchObject([{ running: 0 }]));
  await http(REQUEST);
  expect(engine.handlers()[0]?.lastError?.why).toContain('refused (secret)');
  expectNone([logged, engine.handlers()]);
});

/** Each quotes what it was given, when a policy loads. */
const quoting = (where: string) =>
  defineAdapter({
    name: 'quoting',
    summary: 'For these tests.',
    config: CONFIG.superRefine((given, context) => {
      if (where === 'an issue') context.addIssue({ code: 'custom', message: `cannot be ${JSON.stringify(given)}` });
    }).transform((given) => {
      if (where === 'a transform') throw new TypeError(`no ${JSON.stringify(given)}`);
      return given;
    }),
    metrics: (config) => {
      if (where === 'its metrics') throw new TypeError(`no ${JSON.stringify(config)}`);
      return [];
    },
    serves: {
      report: {
        params: z
          .strictObject({ key: z.string().default('').describe('A key.').meta({ secret: true }) })
          .refine(() => where !== 'its params', { error: ({ input }) => `no ${JSON.stringify(input)}` }),
        input: (config: unknown): Readonly<Record<string, 'string'>> => {
          if (where === 'its input') throw new TypeError(`no ${JSON.stringify(config)}`);
          return {};
        },
      },
    },
    open: async () => ({ sink: () => 0, write: () => undefined }),
  });

test.each(['an issue', 'a transform', 'its metrics', 'its input', 'its params'])(
  'of a schema or a function that reads the config, in a policy that is refused: %s',
  async (where) => {
    const params = where === 'its params' ? `{ key: ${SECRETS[0]} }` : '{}';
    const rules = `  - { name: r, report: { handler: h, params: ${params}, input: {} } }`;
    const text = (POLICY + rules).replace('adapter: leaky', 'adapter: quoting');
    const refused: unknown = await engineOf(text, {}, {}, [quoting(where)], { TOKEN: SECRETS[2] ?? '' }).catch(
      (error: unknown) => error,
    );
    expect(String(refused)).toContain(where === 'its params' ? '(secret)' : '{ $env: TOKEN }');
    expectNone([refused, String(refused)]);
  },
);

test('the line of a wrong config is reported without its secrets', async () => {
  const config = `{ headers: { x-key: ${SECRETS[3]} }, pasword: x }`;
  const policy = `handlers: { h: { adapter: leaky, config: ${config} } }\nrules:\n`;
  const refused: unknown = await engineOf(policy + RULES.check, {}, {}, [leaky({})]).catch((error: unknown) => error);
  expect(String(refused)).toContain('config of leaky, pasword: unknown key');
  expect(String(refused)).toContain(`{ x-key: ${'*'.repeat(SECRETS[3]?.length ?? 0)} }`);
  expectNone(String(refused));
});

test('lines that the plugin logs, its background work, its readiness, its metrics and its end', async () => {
  let restarts = 0;
  const { engine, logged, metrics } = await engineWith(
    {
      host(host, said) {
        host.log.warn(said, { said, error: new Error('outer', { cause: new Error(said) }), list: [{ said }] });
        host.ready(false, said);
        host.metrics.page(() => {
          throw new Error(said);
        });
        host.background('work', async () => {
          restarts++;
          await Promise.resolve();
          throw new Error(said);
        });
      },
      close: (said) => new Error(said),
    },
    RULES.check,
  );
  await vi.waitFor(() => expect(restarts).toBeGreaterThan(0));
  await metrics();
  expect(engine.handlers()).toMatchObject([{ ready: false, why: expect.stringContaining('{ $env: TOKEN }') }]);
  expectNone(engine.handlers());
  await engine.drain();
  const messages = logged.map(({ message }) => message);
  expect(messages).toContain('the metrics page of a handler failed and is left out');
  expect(messages).toContain('closing failed');
  expectNone(logged);
});

test('an error that the plugin does not catch, while the handler is open and afterwards', async () => {
  const { engine, escaped, logged } = await engineWith({}, RULES.check);
  const error = new Error(`WRONGPASS ${SECRETS[1]}`, { cause: new Error(SECRETS[2]) });
  escaped.take(error, 'throw');
  expect(logged).toHaveLength(1);
  expectNone(logged);
  await engine.drain();
  escaped.take(new Error(`another ${SECRETS[1]}`), 'throw'); // of a socket, say, that ends later
  expect(logged).toHaveLength(2);
  expectNone(logged);
});

test('the config that an operator sees has none, also in maps of any keys', async () => {
  const { load } = await engineWith({}, RULES.check);
  expect((await load(POLICY + RULES.check)).handlers.get('h')?.shown).toMatchObject({
    password: '(secret)',
    token: { $env: 'TOKEN' },
    headers: { 'x-key': '(secret)' },
  });
});

test('a dead letter is shown without the secret params of its rule, and is replayed with them', async () => {
  const { engine, log } = await engineWith({ write: (said) => new Rejected(said) }, RULES.write);
  void log({ 'request.path': '/a' });
  await engine.flush();
  const ask = (request: object) => engine.letters({ handler: undefined, ...request } as never);
  const { rows } = await ask({ kind: 'list' });
  expect(rows).toHaveLength(1);
  const { shown = '' } = await ask({ kind: 'show', id: rows[0]?.id });
  expect(JSON.parse(shown)).toMatchObject({ params: { key: '(secret)' } });
  expectNone(shown);
  expect(await ask({ kind: 'replay' })).toMatchObject({ settled: [rows[0]?.id], failed: [] });
});
