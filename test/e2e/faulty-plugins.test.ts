/** `sluice serve` with faulty plugins: a fault affects the policies that use the plugin, never the process. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Checkout, makeCheckout } from '../parts/checkout.ts';
import { type Ran, run, serving, type Serving } from './command.ts';
import { peerClient } from './peer-client.ts';

/** A check that allows everything, and lets an error escape that the path selects. */
const FAULTY = `
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { get } from 'node:http';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { allow, defineAdapter } from 'sluice/plugin';
import { z } from 'zod';

const busy = (forMs: number): void => { for (const from = Date.now(); Date.now() - from < forMs;); };
const refused = async (): Promise<void> => { throw new TypeError('nobody awaits this'); };

export default defineAdapter({
  name: 'check-faulty',
  summary: 'Allows everything, and has faults.',
  config: z.strictObject({
    opensUntil: z.string().optional().describe('Once this file is there, it does not open.'),
    hangs: z.enum(['open', 'close', 'nowhere']).default('nowhere').describe('Where it does not end.'),
  }),
  serves: { check: { input: { path: 'string' } }, report: { input: 'any' } },
  async open({ hangs, opensUntil = '' }) {
    const left = setInterval(() => undefined, 1000); // keeps the process
    if (hangs === 'open' || existsSync(opensUntil)) await new Promise(() => undefined);
    return {
      sink: ({ rule }) => rule,
      write: () => busy(2000),
      check: () => ({ path }) => {
        if (path === '/busy') busy(2000);
        if (path === '/busy-later') return sleep(1).then(() => busy(2000)).then(() => allow());
        if (path === '/forgotten-await') void refused();
        if (path === '/end-of-the-worker') process.reallyExit(); // of its thread
        if (path === '/timer') setTimeout(() => { throw new RangeError('thrown in a timer'); }, 1);
        if (path === '/text') void Promise.reject('no error at all'); // oxlint-disable-line
        if (path === '/socket') connect(1, '127.0.0.1');
        if (path === '/request') get('http://127.0.0.1:1/');
        if (path === '/process') spawn('/no-such-program');
        if (path === '/later') void sleep(1).then(refused);
        return allow();
      },
      close: () => (hangs === 'close' ? new Promise<void>(() => undefined) : clearInterval(left)),
    };
  },
});
`;
const policyOf = (hangs: string): string => `
handlers:
  faulty: { adapter: check-faulty, config: { hangs: ${hangs} } }
rules:
  - { name: ask-faulty, check: { handler: faulty, input: { path: request.path } } }
  - { name: report-faulty, calls: [http], match: request.url_path == "/report", report: { handler: faulty, input: { path: request.path } } }
`;
const GOOD = 'rules:\n  - { name: closed, match: \'request.path == "/closed"\', deny: { status: 403 } }\n';

let checkout: Checkout;
beforeAll(() => {
  checkout = makeCheckout({
    'plugins/check-faulty/adapter.ts': FAULTY,
    'policies/faulty.yaml': policyOf('nowhere'),
    'policies/close.yaml': policyOf('close'),
    'policies/open.yaml': policyOf('open'),
    'policies/good.yaml': GOOD,
  });
});
afterAll(() => checkout?.remove());

interface Line {
  readonly level: string;
  readonly msg: string;
  readonly plugin?: string;
  readonly at?: string;
  readonly handler?: string;
  readonly heldMs?: number;
  readonly cpuMs?: number;
  readonly mayHaveWaited?: boolean;
  readonly error?: { readonly name: string; readonly message: string };
}
const lines = (server: Serving): Line[] =>
  server
    .err()
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line) as Line);

async function metric(server: Serving, name: string): Promise<number> {
  const page = await (await fetch(`http://${server.admin}/metrics`)).text();
  return Number(
    page
      .split('\n')
      .find((line) => line.startsWith(`${name} `))
      ?.split(' ')
      .at(-1) ?? 0,
  );
}

describe.each([
  ['one process', []],
  ['two workers', ['--workers', '2']],
])('an error that a plugin lets escape, in %s', (_, args) => {
  test('is logged once with its plugin and position, counted each time, and calls are answered', async () => {
    const server = await serving([checkout.path('policies/faulty.yaml')], { bin: checkout.bin, args });
    const client = peerClient(server.grpc);
    try {
      for (const path of ['/forgotten-await', '/timer', '/later', '/timer', '/text', '/socket', '/request', '/process'])
        expect((await client.check({ path })).status?.code ?? 0).toBe(0);
      await expect
        .poll(() => metric(server, 'sluice_escaped_errors_total{origin="plugin",plugin="check-faulty"}'), {
          timeout: 10_000,
        })
        .toBe(7);
      await expect
        .poll(() => metric(server, 'sluice_escaped_errors_total{origin="unattributed",plugin=""}'), { timeout: 10_000 })
        .toBe(1);
      const escaped = lines(server).filter(({ msg }) => msg.includes('uncaught error in a plugin'));
      expect(escaped).toContainEqual(
        expect.objectContaining({
          level: 'error',
          plugin: 'check-faulty',
          at: expect.stringMatching(/plugins\/check-faulty\/adapter\.ts:\d+:\d+$/) as string,
          error: expect.objectContaining({ name: 'TypeError', message: 'nobody awaits this' }) as object,
        }),
      );
      expect(escaped).toContainEqual(
        expect.objectContaining({
          at: expect.stringMatching(/plugins\/check-faulty\/adapter\.ts:\d+:\d+$/) as string,
          mend: expect.stringContaining('a listener of error') as string,
          error: expect.objectContaining({ message: 'connect ECONNREFUSED 127.0.0.1:1' }) as object,
        }),
      );
      expect(escaped.filter(({ error }) => error?.name === 'RangeError').length).toBeLessThanOrEqual(
        args.length === 0 ? 1 : 2,
      ); // one a worker
      expect((await client.check({ path: '/' })).status?.code ?? 0).toBe(0);
      expect((await fetch(`http://${server.admin}/readyz`)).status).toBe(200);
      expect(lines(server).filter(({ msg }) => msg.includes('a worker ended'))).toEqual([]);
    } finally {
      client.close();
      expect(await server.stop()).toBe(0);
    }
  });
});

describe('a handler that holds the event loop for two seconds', () => {
  test.each([
    ['in a check', '/busy', ['ask-faulty'], undefined],
    ['after a wait', '/busy-later', ['ask-faulty'], true],
    ['writing reports', '/report', [], undefined],
  ])('%s is named in one line', async (_, path, rules, mayHaveWaited) => {
    const server = await serving([checkout.path('policies/faulty.yaml')], { bin: checkout.bin });
    const client = peerClient(server.grpc);
    const held = (): Line[] => lines(server).filter(({ msg }) => msg.includes('held the event loop'));
    try {
      for (let call = 0; call < 20; call++) await client.check({ path: '/' });
      await client.check({ path }, 10_000).catch(() => undefined); // its deadline may end it
      await expect
        .poll(held, { timeout: 10_000 })
        .toEqual([expect.objectContaining({ level: 'warn', handlers: ['faulty'], rules, times: 1 }) as Line]);
      const [{ heldMs, cpuMs } = { heldMs: 0, cpuMs: 0 }] = held();
      expect(heldMs).toBeGreaterThan(1900);
      expect(cpuMs).toBeGreaterThan(0);
      expect(held()[0]?.mayHaveWaited).toBe(mayHaveWaited);
      await client.check({ path }, 10_000).catch(() => undefined);
      await client.check({ path: '/' }, 10_000);
      expect(held()).toHaveLength(1);
    } finally {
      client.close();
      await server.stop();
    }
  });
});

describe('a handler', () => {
  test('whose close hangs is logged once, and SIGTERM ends the process', async () => {
    const server = await serving([checkout.path('policies/close.yaml')], { bin: checkout.bin });
    expect(await server.stop()).toBe(0);
    expect(lines(server).filter(({ msg }) => msg.startsWith('close() does not return'))).toEqual([
      expect.objectContaining({ level: 'warn', handler: 'faulty' }),
    ]);
    expect(lines(server).at(-1)).toMatchObject({ msg: 'stopped' });
  });

  test('whose open hangs is rejected by name, and the command exits', async () => {
    const { code, err } = await run(
      ['serve', checkout.path('policies/open.yaml'), '--grpc', '127.0.0.1:0', '--admin', '127.0.0.1:0'],
      { bin: checkout.bin },
    );
    expect(code).not.toBe(0);
    expect(err).toMatch(/open\.yaml:3:\d+ CORE_HANDLER_OPEN .*\[check-faulty\/faulty\] not open after 10000 ms/);
  }, 40_000);
});

test('a restarted worker whose handler hangs in open does not delay SIGTERM', async () => {
  const marker = checkout.path('opens-no-more');
  const policy = checkout.write(
    'policies/second.yaml',
    policyOf('nowhere').replace('hangs: nowhere', `opensUntil: ${marker}`),
  );
  const server = await serving([policy], { bin: checkout.bin, args: ['--workers', '2', '--grace', '2'] });
  const client = peerClient(server.grpc);
  try {
    checkout.write('opens-no-more', '');
    await client.check({ path: '/end-of-the-worker' }).catch(() => undefined);
    await server.said(/a worker ended unexpectedly/);
    await expect.poll(() => metric(server, 'sluice_worker_restarts_total'), { timeout: 10_000 }).toBe(1);
  } finally {
    client.close();
  }
  const beganAtMs = performance.now();
  expect(await server.stop()).toBe(0);
  expect(performance.now() - beganAtMs).toBeLessThan(9000); // of the 10 s that open may take
  expect(lines(server).at(-1)).toMatchObject({ msg: 'stopped' });
}, 40_000);

/** What is wrong, the text of the plugin, and what is said of it. */
const BENT: readonly (readonly [what: string, text: string, says: RegExp])[] = [
  [
    'a syntax error',
    'export default {\n  name: "check-bent"\n  summary: "x" };\n',
    /plugins\/check-bent-\d\/adapter\.ts:3:3: Expected ','/,
  ],
  [
    'a missing package',
    'import thing from "no-such-package";\nexport default thing;\n',
    /Cannot find package 'no-such-package'.*npm install no-such-package/,
  ],
  [
    'a missing name in an import',
    'import { nothing } from "node:fs";\nexport default nothing;\n',
    /plugins\/check-bent-\d\/adapter\.ts:1:10: .*does not provide an export named 'nothing'/,
  ],
  [
    'a name that this Sluice does not have',
    'import { fromTheFuture } from "sluice/plugin";\nexport default fromTheFuture;\n',
    /plugins\/check-bent-\d\/adapter\.ts:1:10: .*named 'fromTheFuture'; correct the name, or update Sluice if a newer one has it/,
  ],
  [
    'a throw while it loads',
    'const wide = 1;\nthrow new Error(`bent ${wide}`);\n',
    /plugins\/check-bent-\d\/adapter\.ts:2:7: bent 1/,
  ],
  ['no default export', 'export const adapter = 1;\n', /plugins\/check-bent-\d\/adapter\.ts: it has no default export/],
  ['another shape', 'export default { name: "check-bent-6", open() {} };\n', /check-bent-\d: the summary is missing/],
];

describe('beside plugins that are broken', () => {
  let bent: Checkout;
  let listed: Ran;
  let good: Ran;
  let refused: Ran;
  // All in one checkout: each of its own would be compiled again, at a second of CPU time for a command.
  beforeAll(async () => {
    bent = makeCheckout({ 'policies/good.yaml': GOOD });
    const policies = BENT.map(([, text], at) => {
      bent.write(`plugins/check-bent-${at}/adapter.ts`, text);
      const policy = `policies/bent-${at}.yaml`;
      bent.write(
        policy,
        `handlers:\n  bent-${at}: { adapter: check-bent-${at} }\nrules:\n  - { name: ask-${at}, check: { handler: bent-${at}, input: { path: request.path } } }\n`,
      );
      return policy;
    });
    const command = (...args: string[]): Promise<Ran> => run(args, { bin: bent.bin, cwd: bent.folder });
    listed = await command('plugins'); // by itself, so that it fills the compile cache for the next
    [good, refused] = await Promise.all([command('lint', 'policies/good.yaml'), command('lint', ...policies)]);
  });
  afterAll(() => bent?.remove());

  test('the others are listed, and policies that name none are good', () => {
    expect([listed.code, listed.err]).toEqual([1, '']);
    expect(listed.out).toContain('check-list');
    expect(listed.out.match(/^\S+ {2}broken$/gm)).toHaveLength(BENT.length);
    expect([good.code, good.err]).toEqual([0, '']);
  });

  test.each(BENT.map(([what, , says], at) => ({ what, says, at })))(
    'one with $what is listed as broken, and a policy that names it is rejected',
    ({ says, at }) => {
      expect(listed.out).toMatch(new RegExp(`^check-bent-${at} {2}broken\\n +\\w+ .*${says.source}`, 'm'));
      expect(refused.out).toMatch(
        new RegExp(
          `^policies/bent-${at}\\.yaml:2:22 RULES_BROKEN_ADAPTER the plugin of check-bent-${at} cannot be loaded: ` +
            `(?:ADAPTER|PLUGIN)_.*${says.source}`,
          'm',
        ),
      );
    },
  );

  test('the policies that name one are rejected by that alone, not by an internal error', () => {
    expect(refused.code).toBe(1);
    expect(refused.out.match(/^\S+:\d+:\d+ (?!RULES_BROKEN_ADAPTER).*/gm)).toBeNull();
    expect(refused.out).not.toContain('Internal error');
  });
});

test('a server whose policy uses no broken plugin serves, and does not load it', async () => {
  const bent = makeCheckout({
    'plugins/check-bent/adapter.ts': "process.stderr.write('loaded');\nthrow new Error('bent');\n",
    'policies/good.yaml': GOOD,
  });
  try {
    const server = await serving([bent.path('policies/good.yaml')], { bin: bent.bin });
    expect(server.out() + server.err()).not.toMatch(/loaded|check-bent/);
    expect(await server.stop()).toBe(0);
  } finally {
    bent.remove();
  }
});
