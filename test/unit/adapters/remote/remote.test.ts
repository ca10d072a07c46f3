/** Handlers behind gRPC: the plugin in this process, at a Unix socket. */
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, describe, expect, test } from 'vitest';
import { z } from 'zod';
import {
  CheckSchema,
  DescribeResponseSchema,
  FieldSchema,
  HandleRequestSchema,
  HandleResponseSchema,
  Plugin,
  type Type,
} from '../../../../gen/sluice/plugin/v1/plugin_pb.ts';
import {
  type Adapter,
  allow,
  type AnyHandler,
  type Call,
  defineAdapter,
  deny,
  found,
  PERMISSION_DENIED,
  Unavailable,
} from '../../../../src/adapters/contract.ts';
import { openIsolated } from '../../../../src/adapters/isolated/open-isolated.ts';
import type { OpenHandler } from '../../../../src/adapters/open-handler.ts';
import { createPluginMetrics } from '../../../../src/adapters/plugin-metrics.ts';
import { Connections } from '../../../../src/adapters/remote/connections.ts';
import { asDialled } from '../../../../src/adapters/remote/as-dialled.ts';
import { describe as describeAdapters } from '../../../../src/adapters/remote/description.ts';
import { dial } from '../../../../src/adapters/remote/dial.ts';
import { pluginMethods } from '../../../../src/adapters/remote/plugin-service.ts';
import { createSharedMemory } from '../../../../src/adapters/shared-memory.ts';
import { testCall } from '../../../../src/adapters/testing/index.ts';
import { listen, type Method, type StreamHandler, type Transport } from '../../../../src/transport/index.ts';

const folder = mkdtempSync(join(tmpdir(), 'sluice-remote-'));
const ended: (() => Promise<unknown>)[] = [];
let sockets = 0;
afterEach(async () => {
  for (const end of ended.splice(0).toReversed()) await end();
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const revoked = defineAdapter({
  name: 'check-revoked',
  summary: 'Refuses revoked users.',
  config: z
    .strictObject({
      users: z.array(z.string()).describe('Who is revoked.'),
      hidden: z.array(z.string()).default([]).describe('Who is unknown.'),
      pause: z.int().default(0).describe('In ms.'),
    })
    .refine(({ users }) => users.length > 0, { path: ['users'], message: 'nobody is revoked' })
    .transform((config) => ({ ...config, users: new Set(config.users) })),
  serves: {
    check: {
      params: z.strictObject({ code: z.int().default(PERMISSION_DENIED).describe('Code.') }),
      input: { user: 'string', at: 'timestamp?' },
      output: { since: 'timestamp?' },
    },
    enrich: { input: { user: 'string' }, output: { tenant: 'string' } },
    report: { input: 'any' },
  },
  async open({ users, hidden, pause }, host) {
    const written: unknown[] = [];
    const lines = host.metrics.counter('lines', 'Lines.');
    host.metrics.page(() => `written ${written.length}\n`);
    return {
      check: ({ rule, params: { code } }) => {
        if (rule === 'bad') throw new Error('no such list');
        return async ({ user, at }, call) => {
          if (user === 'fault') throw new TypeError('x is undefined');
          if (user === 'away') throw new Unavailable('the list is away', 250);
          if (user === 'odd') return 5 as never;
          if (user === 'slow')
            await new Promise((resolve, reject) => {
              setTimeout(resolve, 60_000);
              call.signal.addEventListener('abort', () => reject(call.signal.reason as Error));
            });
          if (pause > 0) await new Promise((resolve) => setTimeout(resolve, pause));
          host.log.info('asked', { user });
          return users.has(user)
            ? deny(code, `${user} is revoked`, { validForMs: 1000, output: at === undefined ? {} : { since: at } })
            : allow({ validForMs: 500, uses: 2 });
        };
      },
      lookup:
        () =>
        ({ user }) =>
          hidden.includes(user) ? found<{ tenant: string }>(undefined, { validForMs: 5 }) : { tenant: `of ${user}` },
      sink: ({ rule }) => rule,
      write(entries) {
        lines.add(entries.length);
        for (const { sink, id, timeMs, input } of entries) written.push([sink, id, timeMs, input]);
        host.ready(false, 'the disk is full');
        if (written.length > 2) throw new Error('too many');
      },
    };
  },
});

interface Line {
  readonly level: string;
  readonly message: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

/** A socket that a server of the test listens at. */
const socket = (): string => `unix:${join(folder, `${++sockets}.sock`)}`;

async function serve(
  methods: readonly (readonly [path: string, method: Method])[],
  address: string = socket(),
): Promise<{ readonly address: string; readonly server: Transport }> {
  const server = await listen(new Map(methods), {
    host: address,
    port: 0,
    maxMessageBytes: 8 * 1024 * 1024,
    onFault: (_, error) => {
      throw error;
    },
  });
  ended.push(() => server.drain(0));
  return { address, server };
}

interface Opened extends OpenHandler {
  readonly logged: Line[];
  readonly page: () => Promise<string>;
}

async function open(
  adapter: Adapter,
  address: string,
  {
    config = { users: ['bob'] } as unknown,
    connections = new Connections(500),
    listenEveryMs = 1000,
    name = 'revoked',
  } = {},
): Promise<Opened> {
  const logged: Line[] = [];
  const keep =
    (level: string) =>
    (message: string, fields: Readonly<Record<string, unknown>> = {}): void => {
      logged.push({ level, message, fields });
    };
  const log = { debug: keep('debug'), info: keep('info'), warn: keep('warn'), error: keep('error') };
  const metrics = createPluginMetrics(log);
  const dialled = asDialled(adapter);
  const opened = await openIsolated(
    dialled,
    { name, config: dialled.config.parse(config), folder },
    { log, metrics, shared: createSharedMemory(), restartAfterMs: 20, closeWithinMs: 1000 },
    address,
    dial(connections, { address }, dialled, { listenEveryMs }),
  );
  ended.push(() => opened.close());
  return { ...opened, logged, page: () => metrics.render() };
}

type Check = (input: Readonly<Record<string, unknown>>, call?: Call) => Promise<unknown>;
/** The function of a rule, once the plugin has prepared it. */
async function prepared({ handler, rejected }: OpenHandler, rule = 'r', params: unknown = {}): Promise<Check> {
  const made = (handler as Required<AnyHandler>).check({ rule, params });
  expect(await rejected?.()).toEqual(new Map());
  return async (input, call = testCall()) => made(input, call);
}

async function until(what: () => unknown): Promise<void> {
  await expect.poll(what, { timeout: 10_000, interval: 10 }).toBeTruthy();
}

describe('a handler behind gRPC', () => {
  test('answers checks with every field, and fails as its plugin fails', async () => {
    const { address } = await serve(pluginMethods([revoked]));
    const opened = await open(revoked, address);
    const check = await prepared(opened, 'r', { code: 16 });
    const at = new Date(1_700_000_000_123);
    expect(await check({ user: 'ann', at })).toEqual(allow({ validForMs: 500, uses: 2 }));
    expect(await check({ user: 'bob', at })).toEqual(
      deny(16, 'bob is revoked', { validForMs: 1000, output: { since: at } }),
    );
    await expect(check({ user: 'fault' })).rejects.toMatchObject({
      name: 'TypeError',
      message: 'x is undefined',
      stack: expect.stringContaining('remote.test.ts'),
    });
    await expect(check({ user: 'away' })).rejects.toMatchObject({ name: 'Unavailable', retryAfterMs: 250 });
    await expect(check({ user: 'odd' })).rejects.toThrow(/5, neither allow\(\) nor deny\(\)/);
    await expect(check({ user: 'ann', more: new Map() })).rejects.toMatchObject({
      name: 'Rejected',
      message: expect.stringMatching(/more is an object of the class Map/),
    });
    await expect(check({ user: 'x'.repeat(5_000_000) })).rejects.toMatchObject({
      name: 'Rejected',
      message: expect.stringMatching(/above the 4194304/),
    });
    expect(opened.logged.filter(({ message }) => message === 'asked')[0]).toMatchObject({
      level: 'info',
      fields: { handler: 'revoked', adapter: 'check-revoked', user: 'ann' },
    });
  });

  test('looks up, writes, counts, renders its page and tells its readiness', async () => {
    const { address } = await serve(pluginMethods([revoked]));
    const opened = await open(revoked, address, { config: { users: ['bob'], hidden: ['eve'] } });
    const handler = opened.handler as Required<AnyHandler>;
    const lookup = handler.lookup({ rule: 'e', params: undefined });
    expect(await lookup({ user: 'ann' }, testCall())).toEqual({ tenant: 'of ann' });
    expect(await lookup({ user: 'eve' }, testCall())).toEqual(found(undefined, { validForMs: 5 }));
    const sink = handler.sink({ rule: 'w', params: undefined, input: { path: 'string', took: 'duration' } });
    const entry = (n: number) => ({ sink, id: `e${n}`, timeMs: n, input: { path: `/${n}`, took: 1.5 } });
    await handler.write([entry(1), entry(2)], testCall());
    expect(opened.readiness()).toEqual({ ready: false, why: 'the disk is full' });
    expect(await opened.page()).toMatch(/written 2\n/);
    expect(await opened.page()).toMatch(/sluice_plugin_lines_total\{handler="revoked"\} 2/);
    await expect(async () => handler.write([entry(3)], testCall())).rejects.toThrow('too many');
  });

  test('its config is parsed by its own schema on both sides, and its rules are refused with their reason', async () => {
    const { address } = await serve(pluginMethods([revoked]));
    expect(asDialled(revoked).config.safeParse({ users: [] }).error?.issues).toMatchObject([
      { path: ['users'], message: 'nobody is revoked' },
    ]);
    expect(asDialled(revoked).config.parse({ users: ['a'] })).toEqual({ users: ['a'], hidden: [], pause: 0 });
    const opened = await open(revoked, address);
    const made = (opened.handler as Required<AnyHandler>).check({ rule: 'bad', params: {} });
    expect([...((await opened.rejected?.()) ?? [])]).toEqual([[made, 'no such list']]);
    const strict = defineAdapter({
      ...revoked,
      config: z.strictObject({ users: z.array(z.string()).describe('x') }),
    } as never);
    await expect(open(strict, address, { config: { users: [] } })).rejects.toMatchObject({
      code: 'ADAPTER_OPEN_FAILED',
      message: '[check-revoked/revoked] its config: users: nobody is revoked',
    });
  });

  test('a config that is too large to be sent is said at once', async () => {
    const { address } = await serve(pluginMethods([revoked]));
    await expect(open(revoked, address, { config: { users: ['x'.repeat(5_000_000)] } })).rejects.toMatchObject({
      code: 'ADAPTER_OPEN_FAILED',
      message: expect.stringMatching(/its config cannot be sent: the value is 5\d{6} bytes long, above the 4194304/),
    });
  });

  test('many calls at once are all answered, by one connection for several handlers', async () => {
    const { address } = await serve(pluginMethods([revoked]));
    const connections = new Connections();
    const checks = await Promise.all(
      ['a', 'b', 'c'].map(async (name) => prepared(await open(revoked, address, { connections, name }))),
    );
    const call = (): Call => ({ id: 'x', remainingMs: 60_000, signal: new AbortController().signal });
    const users = Array.from({ length: 10_000 }, (_, n) => (n % 3 === 0 ? 'bob' : `user-${n}`));
    const answers = await Promise.all(users.map(async (user, n) => (checks[n % 3] as Check)({ user }, call())));
    expect(answers.map((answer) => (answer as { kind: string }).kind)).toEqual(
      users.map((user) => (user === 'bob' ? 'deny' : 'allow')),
    );
    const first = await connections.acquire({ address });
    expect(first.users).toBe(4);
    first.release();
  });

  test('a call that is abandoned is cancelled at the plugin', async () => {
    const { address } = await serve(pluginMethods([revoked]));
    const check = await prepared(await open(revoked, address));
    const caller = new AbortController();
    const answer = check({ user: 'slow' }, { id: 'x', remainingMs: 60_000, signal: caller.signal });
    caller.abort(new Error('the caller has gone'));
    await expect(answer).rejects.toThrow('the caller has gone');
  });

  test('a policy loads while the plugin is away; it is served once the plugin is there, with its rules prepared', async () => {
    const address = socket();
    const opened = await open(revoked, address);
    expect(opened.readiness()).toEqual({
      ready: false,
      why: `it is not running: nothing listens at ${address}; start it, or correct the address`,
    });
    const made = (opened.handler as Required<AnyHandler>).check({ rule: 'r', params: {} });
    expect(() => made({ user: 'ann' }, testCall())).toThrow(/nothing listens/);
    await serve(pluginMethods([revoked]), address);
    await until(() => opened.readiness().ready);
    expect(await made({ user: 'bob' }, testCall())).toMatchObject({ kind: 'deny' });
    expect(opened.logged.filter(({ level }) => level !== 'info')).toMatchObject([
      {
        fields: {
          handler: 'revoked',
          adapter: 'check-revoked',
          runs: address,
          why: expect.stringContaining('start it'),
        },
      },
    ]);
  });

  test('a plugin that drains answers what it was asked; the next calls fail until it is back', async () => {
    const { address, server } = await serve(pluginMethods([revoked]));
    const opened = await open(revoked, address, { config: { users: ['bob'], pause: 200 } });
    const check = await prepared(opened);
    const asked = Promise.all(Array.from({ length: 50 }, async () => check({ user: 'bob' })));
    await new Promise((resolve) => setTimeout(resolve, 50));
    const drained = server.drain(5000);
    expect((await asked).map((answer) => (answer as { kind: string }).kind)).toEqual(Array(50).fill('deny'));
    await drained;
    await until(() => !opened.readiness().ready);
    await expect(check({ user: 'ann' })).rejects.toMatchObject({ name: 'Unavailable' });
    await serve(pluginMethods([revoked]), address);
    await until(() => opened.readiness().ready);
    expect(await check({ user: 'ann' })).toMatchObject({ kind: 'allow' });
  });

  test('a release that refuses a rule in force: the handler is not ready and says why; the next release gets the rule again', async () => {
    const { address, server } = await serve(pluginMethods([revoked]));
    const opened = await open(revoked, address);
    const check = await prepared(opened);
    const other = await prepared(opened, 'other');
    await server.drain(100);
    const picky = {
      ...revoked,
      open: async (config: never, host: never) => ({
        ...(await revoked.open(config, host)),
        check: ({ rule }: { rule: string }) => refuseR(rule),
      }),
    } as never;
    const second = await serve(pluginMethods([picky]), address);
    await until(() => /it refuses rule r: .*no such list/.exec(opened.readiness().why ?? ''));
    await expect(check({ user: 'ann' })).rejects.toThrow(/no such list/);
    expect(await other({ user: 'ann' })).toMatchObject({ kind: 'allow' });
    expect(opened.logged.filter(({ message }) => message.startsWith('a handler refuses a rule'))).toMatchObject([
      { level: 'error', fields: { rule: 'r', why: expect.stringMatching(/no such list/) } },
    ]);
    await second.server.drain(100);
    await serve(pluginMethods([revoked]), address);
    await until(() => opened.readiness().ready);
    expect(await check({ user: 'ann' })).toMatchObject({ kind: 'allow' });
  });
});

function refuseR(rule: string): () => unknown {
  if (rule === 'r') throw new Error('no such list');
  return () => allow();
}

// ---------------------------------------------------------------- plugins that break the contract

const DESCRIPTION = describeAdapters([revoked], 'revoked 1.0');
const checkOf = (input: [name: string, type: number][], output: [name: string, type: number][]): object => {
  const fields = (pairs: readonly [string, number][]) =>
    pairs.map(([name, type]) => create(FieldSchema, { name, type: type as Type }));
  return create(CheckSchema, {
    input: { kind: { case: 'shape', value: { fields: fields(input) } } },
    output: { fields: fields(output) },
  });
};
const described = (description: object): Method => ({
  kind: 'unary',
  handle: () => toBinary(DescribeResponseSchema, create(DescribeResponseSchema, { ...DESCRIPTION, ...description })),
});

const reply = (kind: object): Uint8Array =>
  toBinary(HandleResponseSchema, create(HandleResponseSchema, { messages: [{ kind }] } as never));
/** Opens and prepares as it should; then `answer` gets each check. `also`: what else follows a message of the host, by its kind. */
function plugin(
  answer: (number: bigint, send: (bytes: Uint8Array) => void) => void | 'end',
  also: Readonly<Record<string, (number: bigint) => Uint8Array>> = {},
): [string, Method][] {
  const handle: StreamHandler = async function* handle(requests) {
    for await (const bytes of requests) {
      for (const { kind } of fromBinary(HandleRequestSchema, bytes).messages) {
        if (kind.case === 'open') yield reply({ case: 'opened', value: {} });
        if (kind.case === 'prepare') yield reply({ case: 'prepared', value: { slot: kind.value.slot } });
        if (kind.case === 'close') yield reply({ case: 'closed', value: {} });
        if (kind.case === 'ping') yield reply({ case: 'pong', value: {} });
        const { call } = kind.value as { readonly call?: { readonly number: bigint } };
        const more = also[String(kind.case)]?.(call?.number ?? 0n);
        if (more !== undefined) yield more;
        if (kind.case !== 'ask') continue;
        const sent: Uint8Array[] = [];
        if (answer(kind.value.call?.number ?? 0n, (one) => sent.push(one)) === 'end') return;
        yield* sent;
      }
    }
  };
  return [
    [`/${Plugin.typeName}/Describe`, described({})],
    [`/${Plugin.typeName}/Handle`, { kind: 'stream', handle }],
  ];
}
const answered = (number: bigint, decision: object = { case: 'allow', value: {} }): Uint8Array =>
  toBinary(
    HandleResponseSchema,
    create(HandleResponseSchema, { messages: [{ kind: { case: 'check', value: { number, decision } } }] } as never),
  );

describe('a plugin that breaks the contract costs calls of its own handler', () => {
  /** The first call is answered badly, a call after it well. */
  async function once(bad: (number: bigint, send: (bytes: Uint8Array) => void) => void | 'end') {
    let isBad = true;
    const { address } = await serve(
      plugin((number, send) => {
        if (!isBad) return send(answered(number));
        isBad = false;
        return bad(number, send);
      }),
    );
    const other = await prepared(
      await open(revoked, (await serve(pluginMethods([revoked]))).address, { name: 'other' }),
    );
    const opened = await open(revoked, address);
    const check = await prepared(opened);
    const first = await check({ user: 'ann' }).then(
      (answer) => answer,
      (error: Error) => error,
    );
    expect(await other({ user: 'ann' })).toMatchObject({ kind: 'allow' });
    await until(() => opened.readiness().ready);
    await expect.poll(async () => check({ user: 'ann' }).catch(() => 'failed')).toMatchObject({ kind: 'allow' });
    const problems = opened.logged.filter(({ level }) => level === 'warn' || level === 'error');
    return { first: first as Error, problems: problems.map(({ fields }) => String(fields['why'])), opened };
  }

  test('bytes that are no message', async () => {
    const { first, problems } = await once((_, send) => send(new Uint8Array(40).fill(255)));
    expect(first).toMatchObject({
      name: 'Unavailable',
      message: expect.stringMatching(/40 bytes that are no HandleResponse/),
    });
    expect(problems).toEqual([expect.stringMatching(/no HandleResponse: the message is not valid protobuf: /)]);
  });

  test('a message above the bound', async () => {
    const { first, problems } = await once((_, send) => send(new Uint8Array(5_000_000)));
    expect(first).toMatchObject({
      name: 'Unavailable',
      message: expect.stringMatching(/RESOURCE_EXHAUSTED.*5000000 bytes/),
    });
    expect(problems).toHaveLength(1);
  });

  test('the stream ends in the middle of a call', async () => {
    const { first, problems } = await once(() => 'end');
    expect(first).toMatchObject({ name: 'Unavailable', message: 'it ended: it ended the stream' });
    expect(problems).toEqual(['it ended the stream']);
  });

  test('an answer without a decision', async () => {
    const { first } = await once((number, send) => send(answered(number, { case: undefined })));
    expect(first).toMatchObject({ name: 'Error', message: 'a CheckAnswer has neither allow nor deny' });
  });

  test('an output that only a newer plugin declares is left out; others that are not declared reach the host', async () => {
    const output = {
      level: { kind: { case: 'int64Value', value: 3n } },
      other: { kind: { case: 'int64Value', value: 4n } },
    };
    const [, handle] = plugin((number, send) => send(answered(number, { case: 'allow', value: { output } })));
    const [own] = DESCRIPTION.adapters;
    const check = checkOf(
      [['user', 1]],
      [
        ['since', 6],
        ['level', 2],
      ],
    );
    const describe = described({ adapters: [{ ...own, check }] });
    const { address } = await serve([[`/${Plugin.typeName}/Describe`, describe], handle as [string, Method]]);
    const ask = await prepared(await open(revoked, address));
    expect(await ask({ user: 'ann' })).toMatchObject({ kind: 'allow', output: { other: 4 } });
    expect(await ask({ user: 'ann' })).not.toMatchObject({ output: { level: 3 } });
  });

  test('an answer to another kind of call: a report is not taken as written, nor a page as rendered', async () => {
    const { first } = await once((number, send) => send(reply({ case: 'done', value: { number } })));
    expect(first).toMatchObject({ name: 'Error', message: 'it answers with Done; a CheckAnswer was expected' });
    const { address } = await serve(
      plugin(() => undefined, {
        write: (number) => reply({ case: 'lookup', value: { number } }),
        renderPage: (number) => reply({ case: 'done', value: { number } }),
        open: () => reply({ case: 'hasPage', value: {} }),
      }),
    );
    const opened = await open(revoked, address);
    const { sink, write } = opened.handler as Required<AnyHandler>;
    const entry = { sink: sink({ rule: 'r', params: {}, input: {} }), id: '1', timeMs: 1, input: {} };
    await expect(write([entry], testCall())).rejects.toThrow('it answers with a LookupAnswer; Done was expected');
    expect(await opened.page()).not.toContain('undefined');
  });

  test('texts of any length: what is kept, shown and logged of them has a bound', async () => {
    const long = 'e'.repeat(1_000_000);
    const failed = { kind: 1, message: long };
    const { first } = await once((number, send) => send(reply({ case: 'failed', value: { number, ...failed } })));
    expect(first.message.length).toBe(4099);
    const { address } = await serve(
      plugin(() => undefined, {
        open: () => reply({ case: 'log', value: { level: 3, message: long } }),
        prepare: () => reply({ case: 'readiness', value: { ready: false, why: long } }),
      }),
    );
    const opened = await open(revoked, address);
    await prepared(opened);
    await until(() => !opened.readiness().ready && opened.logged.length > 0);
    expect(opened.readiness().why?.length).toBe(4099);
    expect(opened.logged.map(({ message }) => message.length)).toEqual([4099]);
  });

  test('a flood of long log lines: what is left out is not decoded, and calls are answered', async () => {
    const deep = { mapValue: { fields: { a: { kind: { case: 'stringValue', value: 'x'.repeat(8000) } } } } };
    const fields = Object.fromEntries(
      Array.from({ length: 4 }, (_, n) => [`f${n}`, { kind: { case: 'mapValue', value: deep.mapValue } }]),
    );
    const lines = Array.from({ length: 120 }, (_, n) => ({
      kind: { case: 'log', value: { level: 3, message: `line ${n}`, fields } },
    }));
    const flood = toBinary(HandleResponseSchema, create(HandleResponseSchema, { messages: lines } as never));
    expect(flood.length).toBeGreaterThan(3_800_000);
    // Its fields are no protobuf; decoding them would end the stream.
    const unreadable = new Uint8Array([0x0a, 0x0b, 0x52, 0x09, 8, 3, 0x12, 1, 0x6e, 0x1a, 2, 0xff, 0xff]);
    const tooLong = {
      level: 4,
      message: 'm',
      fields: { all: { kind: { case: 'stringValue', value: 'x'.repeat(70_000) } } },
    };
    const { address } = await serve(
      plugin((number, send) => {
        for (let n = 0; n < 20; n++) send(flood);
        send(reply({ case: 'log', value: tooLong }));
        send(unreadable);
        send(answered(number));
      }, {}),
    );
    const opened = await open(revoked, address);
    const check = await prepared(opened);
    expect(await check({ user: 'ann' }, testCall(20_000))).toMatchObject({ kind: 'allow' });
    const written = opened.logged.filter(({ message }) => /^line |^n$/.test(message)); // the last one is short enough
    expect(written.length).toBeGreaterThan(5);
    expect(written.length).toBeLessThan(40); // of 150 lines, since each is as long as nine
    expect(opened.logged.find(({ message }) => message === 'm')?.fields['problem']).toMatch(
      /^the fields of this line have 70\d{3} octets; 65536 are read$/,
    );
    await opened.close();
    expect(opened.logged.find(({ message }) => message.startsWith('log lines of a plugin'))?.fields).toMatchObject({
      of: 'warn',
      lines: 2401 - written.length,
      last: expect.stringMatching(/^line \d+$/),
    });
  });

  test('two answers: the second is counted and ignored', async () => {
    const { first, problems, opened } = await once((number, send) => {
      send(answered(number));
      send(answered(number, { case: 'deny', value: { code: 7, reason: 'no' } }));
    });
    expect(first).toMatchObject({ kind: 'allow' });
    expect(problems).toEqual([]);
    expect(await opened.page()).toMatch(/sluice_plugin_ignored_answers_total\{handler="revoked"\} 1/);
  });

  test('answers to no call', async () => {
    const { first, problems } = await once((number, send) => {
      send(answered(77_777n));
      send(answered(number));
    });
    expect(first).toMatchObject({ kind: 'allow' });
    expect(problems).toEqual([]);
  });

  test.each([
    [
      'another version',
      { contract: 7, software: 'revoked 9' },
      /revoked 9 speaks version 7 .* this Sluice speaks 1; update Sluice/,
    ],
    ['no version', { contract: 0 }, /does not say which version/],
    [
      'no such adapter',
      { adapters: [{ ...DESCRIPTION.adapters[0], name: 'check-x' }] },
      /it has no adapter check-revoked, but check-x/,
    ],
    [
      'fewer capabilities',
      { adapters: [{ ...DESCRIPTION.adapters[0], report: undefined }] },
      /does not serve report, which it serves here/,
    ],
    [
      'another input',
      {
        adapters: [
          {
            ...DESCRIPTION.adapters[0],
            check: create(CheckSchema, {
              input: { kind: { case: 'shape', value: { fields: [{ name: 'user', type: 8 }] } } },
            }),
          },
        ],
      },
      /takes user as ip for check, and here it is string/,
    ],
    [
      'an input that may not be absent any more',
      {
        adapters: [
          {
            ...DESCRIPTION.adapters[0],
            check: checkOf(
              [
                ['user', 1],
                ['at', 6],
              ],
              [['since', 6]],
            ),
          },
        ],
      },
      /needs at for check, and here it may be absent/,
    ],
    [
      'another output',
      { adapters: [{ ...DESCRIPTION.adapters[0], check: checkOf([['user', 1]], [['since', 1]]) }] },
      /answers check with since as string, and here it is timestamp/,
    ],
    [
      'fewer outputs',
      { adapters: [{ ...DESCRIPTION.adapters[0], check: checkOf([['user', 1]], []) }] },
      /answers check without since, and here it is timestamp/,
    ],
  ])('its description has %s: the handler is not ready', async (_, description, says) => {
    const { address } = await serve([
      [`/${Plugin.typeName}/Describe`, described(description)],
      ...pluginMethods([revoked]).slice(1),
    ]);
    const opened = await open(revoked, address);
    expect(opened.readiness()).toMatchObject({ ready: false, why: expect.stringMatching(says) });
  });

  test('a quota that counts by fewer algorithms is not ready', async () => {
    const counts = defineAdapter({
      name: 'quota-two',
      summary: 'Counts.',
      config: z.strictObject({}),
      serves: { quota: { algorithms: ['fixed', 'gcra'] } },
      open: async () => ({ bucket: () => 1, charge: () => [] }),
    });
    const fewer = { ...counts, serves: { quota: { algorithms: ['gcra'] } } } as never;
    const opened = await open(counts, (await serve(pluginMethods([fewer]))).address, { config: {} });
    expect(opened.readiness().why).toMatch(/does not count by fixed, by which it counts here/);
  });

  test('another service is named as such', async () => {
    const { address } = await serve([]);
    const opened = await open(revoked, address);
    expect(opened.readiness().why).toMatch(/is no plugin: it does not serve sluice.plugin.v1.Plugin/);
  });

  test('a plugin that is silent is given up, and found again', async () => {
    let isSilent = true;
    const methods = plugin((number, send) => send(answered(number)));
    const handle = methods[1]?.[1] as { handle: StreamHandler };
    const { address } = await serve([
      methods[0] as [string, Method],
      [
        `/${Plugin.typeName}/Handle`,
        {
          kind: 'stream',
          async *handle(requests, context) {
            if (!isSilent) return yield* handle.handle(requests, context);
            isSilent = false;
            let count = 0;
            for await (const reply of handle.handle(requests, context)) if (count++ < 2) yield reply;
          },
        },
      ],
    ]);
    const opened = await open(revoked, address, { listenEveryMs: 40 });
    const check = await prepared(opened);
    await expect(check({ user: 'ann' })).rejects.toMatchObject({
      name: 'Unavailable',
      message: expect.stringMatching(/silent for 0.2 s; it hangs/),
    });
    await until(() => opened.readiness().ready);
    expect(await check({ user: 'ann' })).toMatchObject({ kind: 'allow' });
  });

  test('a plugin that does not read is given up before its input fills the memory', async () => {
    const methods = plugin((number, send) => send(answered(number)));
    const handle = methods[1]?.[1] as { handle: StreamHandler };
    const { address } = await serve([
      methods[0] as [string, Method],
      [
        `/${Plugin.typeName}/Handle`,
        {
          kind: 'stream',
          async *handle(requests, context) {
            let count = 0;
            for await (const reply of handle.handle(requests, context)) {
              yield reply;
              if (++count === 2) await new Promise((resolve) => context.signal.addEventListener('abort', resolve));
            }
          },
        },
      ],
    ]);
    const opened = await open(revoked, address);
    const check = await prepared(opened);
    const user = 'x'.repeat(1_000_000);
    const results = await Promise.allSettled(Array.from({ length: 30 }, async () => check({ user })));
    expect(results[0]).toMatchObject({
      status: 'rejected',
      reason: { name: 'Unavailable', message: expect.stringMatching(/does not read what it is sent: \d{8} bytes/) },
    });
  });
});
