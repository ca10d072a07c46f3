import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { HandleRequestSchema, HandleResponseSchema } from '../../../../gen/sluice/plugin/v1/plugin_pb.ts';
import { allow, deny, type Shape } from '../../../../src/adapters/contract.ts';
import { MAX_MESSAGE_BYTES, writeBatches } from '../../../../src/adapters/remote/codec/batch.ts';
import {
  type HostMessage,
  hostMessageWriter,
  readHostMessages,
} from '../../../../src/adapters/remote/codec/host-messages.ts';
import { PLUGIN_MESSAGES, type PluginMessage } from '../../../../src/adapters/remote/codec/plugin-messages.ts';
import { readPluginMessages } from '../../../../src/adapters/remote/codec/read-plugin-messages.ts';
import { Malformed } from '../../../../src/protobuf/malformed.ts';
import { ProtobufWriter } from '../../../../src/protobuf/writer.ts';

const RUNS = Number(process.env['RUNS'] ?? 1000);
const SHAPE: Shape = {
  user: 'string',
  count: 'int',
  ratio: 'double',
  inside: 'bool',
  body: 'bytes',
  at: 'timestamp',
  took: 'duration',
  from: 'ip',
  groups: 'list<string>',
  labels: 'map<string>?',
  other: 'any',
};
const call = { number: 2 ** 40 + 3, id: 'request-1', remainingMs: 19.5 };
const written = {
  user: 'änn',
  count: Number.MAX_SAFE_INTEGER,
  ratio: 2,
  inside: false,
  body: new Uint8Array([0, 255, 7]),
  at: new Date('1969-12-31T23:59:59.250Z'),
  took: -1500.25,
  from: '2001:db8::1',
  groups: ['a', '', 'c'],
  labels: { app: 'reviews', __proto__x: 'y' },
  other: { list: [1, -0.5, null, { deep: true }], text: '', minus: -7, far: -(2 ** 45) },
};

const HOST: HostMessage[] = [
  {
    kind: 'open',
    handler: 'revoked',
    adapter: 'check-revoked',
    config: { list: ['a'], every: 5 },
    folder: '/etc/sluice',
    worker: { number: 1, count: 2 },
    openWithinMs: 10_000,
    contract: 1,
  },
  { kind: 'prepare', slot: 1, capability: 'check', rule: { rule: 'r', params: { deny: true } } },
  {
    kind: 'prepare',
    slot: 2,
    capability: 'quota',
    rule: { rule: 'q', params: undefined, counter: 'c', algorithm: 'concurrency', perMs: 60_000 },
  },
  { kind: 'prepare', slot: 3, capability: 'report', rule: { rule: 'w', params: {}, input: SHAPE } },
  { kind: 'ask', call, slot: 1, input: written },
  {
    kind: 'charge',
    call,
    asks: [
      { kind: 'spend', bucket: 2, key: 'k', limit: 10, burst: 20, perMs: 1000, cost: 0.5, partial: true },
      { kind: 'owe', bucket: 2, key: '', limit: 10, burst: 10, perMs: 1000, cost: 0, endsAtMs: 0, idempotencyKey: '' },
    ],
  },
  { kind: 'write', call, entries: [{ sink: 3, id: 'e1', timeMs: 1_700_000_000_000.5, input: written }] },
  {
    kind: 'look',
    call,
    asks: [{ kind: 'look', bucket: 2, key: 'k', limit: 1, burst: 1, perMs: 1 }],
    leases: { from: 100, count: 50 },
  },
  { kind: 'reset', call, asks: [] },
  { kind: 'cancel', number: 7, why: 'the caller has gone' },
  { kind: 'renderPage', call },
  { kind: 'forget', slot: 300 },
  { kind: 'ping' },
  { kind: 'close', withinMs: 5000 },
];

const PLACES = [
  { counter: 'c', holders: [{ who: 'w1', units: 5 }], leases: [] },
  {
    holders: [],
    leases: [
      { id: '', units: 2.5, heldMs: 0, endsInMs: 60_000 },
      { units: 1, heldMs: 1.5, endsInMs: 1 },
    ],
    leaseCount: 0,
  },
];

const PLUGIN: PluginMessage[] = [
  { kind: 'opened', look: true, reset: false },
  { kind: 'openFailed', why: 'list: it is empty' },
  { kind: 'prepared', slot: 1 },
  { kind: 'prepared', slot: 2, why: '' },
  { kind: 'check', number: 1, allow: { validForMs: 0, uses: undefined, output: undefined } },
  { kind: 'check', number: 2, allow: { validForMs: undefined, uses: 3, output: written } },
  {
    kind: 'check',
    number: 3,
    deny: {
      code: 7,
      reason: 'revoked',
      validForMs: 60_000,
      output: { why: 'listed' },
      headers: { 'www-authenticate': 'Bearer' },
    },
  },
  { kind: 'check', number: 4 },
  { kind: 'lookup', number: 5, output: { zone: 'eu' }, validForMs: undefined, uses: undefined },
  { kind: 'lookup', number: 6, output: undefined, validForMs: 1000, uses: undefined },
  {
    kind: 'charge',
    number: 7,
    answers: [
      { granted: true, limit: 10, remaining: 0, resetMs: 1000.5, charged: 0 },
      { granted: false, limit: 0, remaining: 0, resetMs: 1 },
    ],
  },
  { kind: 'done', number: 2 ** 52 },
  {
    kind: 'failed',
    number: 8,
    fault: 'rejected',
    message: 'too long',
    retryAfterMs: 0,
    entries: [0, 3, 70_000],
    name: '',
    stack: '',
  },
  {
    kind: 'failed',
    number: 9,
    fault: 'unavailable',
    message: 'away',
    retryAfterMs: 250,
    entries: undefined,
    name: '',
    stack: '',
  },
  {
    kind: 'failed',
    number: 10,
    fault: 'fault',
    message: "'x'",
    retryAfterMs: 0,
    entries: undefined,
    name: 'KeyError',
    stack: 'at x',
  },
  { kind: 'readiness', ready: false, why: 'the list is away' },
  { kind: 'readiness', ready: true },
  { kind: 'log', level: 'warn', message: 'slow', fields: { took: 1.5, who: ['a'] } },
  { kind: 'counted', name: 'reloads', help: 'Reloads.', amount: 2 },
  { kind: 'look', number: 11, places: PLACES },
  { kind: 'page', number: 12, text: 'up 1\n' },
  { kind: 'hasPage' },
  { kind: 'closed' },
  { kind: 'pong' },
];

const copied = (batch: Uint8Array): Uint8Array => new Uint8Array(batch);
/** Without the prefix of gRPC. */
const bare = (batch: Uint8Array): Buffer => Buffer.from(batch.subarray(5));
const hostBytes = (messages: readonly HostMessage[], shape: Shape | 'any' = SHAPE): Buffer[] =>
  hostMessageWriter(new ProtobufWriter(), () => shape)(messages).map(bare);
const pluginBytes = (messages: readonly PluginMessage[]): Buffer =>
  Buffer.concat(writeBatches(new ProtobufWriter(), PLUGIN_MESSAGES, messages, copied));

/** Without the members that are absent where the sender left them out. */
const given = (value: unknown): unknown => JSON.parse(JSON.stringify(value, (_, one: unknown) => one ?? undefined));

describe('the codec of sluice.plugin.v1', () => {
  test('the library reads what the host writes, and the plugin reads what the library writes', () => {
    const ours = Buffer.concat(hostBytes(HOST));
    const read = fromBinary(HandleRequestSchema, ours);
    expect(read.messages.map(({ kind }) => kind.case)).toEqual(HOST.map(({ kind }) => kind));
    expect(given(readHostMessages(Buffer.from(toBinary(HandleRequestSchema, read))))).toMatchObject(
      given(HOST) as object,
    );
  });

  test('the library reads what the plugin writes, and the host reads what the library writes', () => {
    const ours = pluginBytes(PLUGIN);
    const again = Buffer.from(toBinary(HandleResponseSchema, fromBinary(HandleResponseSchema, ours)));
    const [opened, ...others] = readPluginMessages(again);
    expect(opened).toEqual({ kind: 'opened', has: { look: true, reset: false } });
    const answers = Object.fromEntries(
      others.flatMap((one) => (one.kind === 'answered' ? [[one.number, one.answer]] : [])),
    );
    expect(answers).toEqual({
      1: allow({ validForMs: 0 }),
      2: allow({ uses: 3, output: written }),
      3: deny(7, 'revoked', {
        validForMs: 60_000,
        output: { why: 'listed' },
        headers: { 'www-authenticate': 'Bearer' },
      }),
      5: { zone: 'eu' },
      6: undefined,
      7: [
        { granted: true, limit: 10, remaining: 0, resetMs: 1000.5, charged: 0 },
        { granted: false, limit: 0, remaining: 0, resetMs: 1 },
      ],
      11: PLACES,
      12: 'up 1\n',
      [2 ** 52]: undefined,
    });
    expect(others.find((one) => 'number' in one && one.number === 6)).toMatchObject({
      validity: { validForMs: 1000, uses: Number.MAX_SAFE_INTEGER },
    });
    const decoded = others.map((one) =>
      one.kind === 'log' ? { kind: one.kind, level: one.level, message: one.message, fields: one.fields } : one,
    );
    expect(decoded.filter(({ kind }) => kind !== 'answered')).toEqual([
      { kind: 'openFailed', why: 'list: it is empty' },
      { kind: 'prepared', slot: 1 },
      { kind: 'prepared', slot: 2, why: '' },
      { kind: 'failed', number: 4, error: { name: 'Error', message: 'a CheckAnswer has neither allow nor deny' } },
      { kind: 'failed', number: 8, error: { name: 'Rejected', message: 'too long', entries: [0, 3, 70_000] } },
      { kind: 'failed', number: 9, error: { name: 'Unavailable', message: 'away', retryAfterMs: 250 } },
      { kind: 'failed', number: 10, error: { name: 'KeyError', message: "'x'", stack: 'at x' } },
      { kind: 'readiness', ready: false, why: 'the list is away' },
      { kind: 'readiness', ready: true },
      { kind: 'log', level: 'warn', message: 'slow', fields: { took: 1.5, who: ['a'] } },
      { kind: 'counted', name: 'reloads', help: 'Reloads.', amount: 2 },
      { kind: 'hasPage' },
      { kind: 'closed' },
      { kind: 'pong' },
    ]);
  });

  test('each value arrives as the type of its shape, exactly', () => {
    const [ask] = readHostMessages(hostBytes([{ kind: 'ask', call, slot: 1, input: written }])[0] as Buffer);
    expect(ask).toEqual({ kind: 'ask', call, slot: 1, input: written });
    const { messages } = fromBinary(
      HandleRequestSchema,
      hostBytes([{ kind: 'ask', call, slot: 1, input: written }])[0] as Buffer,
    );
    const sent = messages[0]?.kind;
    expect(
      sent?.case === 'ask'
        ? Object.fromEntries(Object.entries(sent.value.input).map(([name, { kind }]) => [name, kind.case]))
        : sent,
    ).toEqual({
      user: 'stringValue',
      count: 'int64Value',
      ratio: 'doubleValue',
      inside: 'boolValue',
      body: 'bytesValue',
      at: 'timestampValue',
      took: 'durationValue',
      from: 'ipValue',
      groups: 'listValue',
      labels: 'mapValue',
      other: 'mapValue',
    });
  });

  test('any value that JSON can hold crosses unchanged', { timeout: 60_000 }, () => {
    fc.assert(
      fc.property(
        fc.jsonValue({ maxDepth: 8 }),
        fc.maxSafeInteger(),
        fc.double({ noNaN: true }),
        (any, int, double) => {
          const input = { other: any, count: int, ratio: double };
          const [ask] = readHostMessages(Buffer.concat(hostBytes([{ kind: 'ask', call, slot: 1, input }])));
          expect(ask).toEqual({ kind: 'ask', call, slot: 1, input });
        },
      ),
      { numRuns: RUNS },
    );
  });

  test('a value that cannot cross is refused with its name, and the next messages are written', () => {
    const cyclic: Record<string, unknown> = {};
    cyclic['self'] = cyclic;
    const big = { text: 'x'.repeat(MAX_MESSAGE_BYTES) };
    const write = hostMessageWriter(new ProtobufWriter(), () => 'any');
    const why = (input: Record<string, unknown>): string => {
      try {
        write([
          { kind: 'cancel', number: 1, why: 'first' },
          { kind: 'ask', call, slot: 1, input },
        ]);
        return 'written';
      } catch (error) {
        return (error as Error).message;
      }
    };
    expect(why({ run: () => 1 })).toBe('run is a function, which cannot be sent to another process');
    expect(why({ big: 2n ** 60n })).toMatch(/^big is 1152921504606846976, a whole number beyond 2\^53/);
    expect(why({ when: new Date(Number.NaN) })).toMatch(/^when is an invalid date/);
    expect(why({ map: new Map() })).toMatch(/^map is an object of the class Map/);
    expect(why(cyclic)).toMatch(/self\.self is nested more than 32 deep/);
    expect(why(big)).toMatch(/^the value is 4194\d{3} bytes long, above the 4194304 of a message/);
    expect(
      write([{ kind: 'ping' }])
        .map(bare)
        .flatMap(readHostMessages),
    ).toEqual([{ kind: 'ping' }]);
  });

  test('what a plugin answers in another shape is refused, not written as nonsense', () => {
    const write =
      (message: object): (() => void) =>
      () =>
        void writeBatches(new ProtobufWriter(), PLUGIN_MESSAGES, [message as PluginMessage], copied);
    expect(write({ kind: 'check', number: 1, deny: { code: 7, reason: 5 } })).toThrow(
      /^reason is a number in the place of a string/,
    );
    expect(write({ kind: 'check', number: 1, deny: { code: 0.5, reason: '' } })).toThrow(/0\.5, where a whole number/);
    expect(write({ kind: 'charge', number: 1, answers: { granted: true } })).toThrow(/in the place of a list/);
    expect(write({ kind: 'charge', number: 1, answers: [{ granted: 'yes' }] })).toThrow(/granted is a string/);
  });

  test('many messages are cut into batches below the bound, in order', () => {
    const input = { text: 'x'.repeat(3_000_000) };
    const asks = Array.from({ length: 5 }, (_, slot): HostMessage => ({ kind: 'ask', call, slot, input }));
    const small = Array.from({ length: 20_000 }, (_, slot): HostMessage => ({ kind: 'forget', slot }));
    const batches = hostBytes([...asks, ...small]);
    expect(Math.max(...batches.map(({ length }) => length))).toBeLessThanOrEqual(MAX_MESSAGE_BYTES);
    expect(batches.flatMap(readHostMessages).map((one) => (one as { slot: number }).slot)).toEqual([
      ...asks.keys(),
      ...small.keys(),
    ]);
  });

  test('an answer with a number beyond 2^53, or nested without end, fails its call alone', () => {
    const int = { case: 'int64Value', value: 2n ** 60n } as const;
    let deep: object = { kind: { case: 'boolValue', value: true } };
    for (let depth = 0; depth < 100; depth++) deep = { kind: { case: 'listValue', value: { values: [deep] } } };
    const bytes = Buffer.from(
      toBinary(
        HandleResponseSchema,
        create(HandleResponseSchema, {
          messages: [
            { kind: { case: 'lookup', value: { number: 1n, output: { id: { kind: int } } } } },
            {
              kind: { case: 'check', value: { number: 2n, decision: { case: 'allow', value: { output: { deep } } } } },
            },
            { kind: { case: 'done', value: { number: 3n } } },
          ],
        }),
      ),
    );
    expect(readPluginMessages(bytes)).toMatchObject([
      {
        kind: 'failed',
        number: 1,
        error: { name: 'RangeError', message: expect.stringContaining('1152921504606846976') },
      },
      { kind: 'failed', number: 2, error: { name: 'RangeError', message: expect.stringContaining('32 deep') } },
      { kind: 'answered', number: 3 },
    ]);
  });

  test('fields and kinds that this version does not know are ignored', () => {
    const unknown = Buffer.from([0x0a, 0x05, 0xaa, 0x06, 0x02, 0x08, 0x01, 0x98, 0x06, 0x07]);
    expect(readPluginMessages(Buffer.concat([unknown, pluginBytes([{ kind: 'done', number: 4 }])]))).toEqual([
      { kind: 'answered', number: 4, answer: undefined, by: 'done' },
    ]);
  });

  test('bytes changed at random are read or malformed, and nothing else happens', { timeout: 120_000 }, () => {
    const plugin = pluginBytes(PLUGIN);
    const host = Buffer.concat(hostBytes(HOST));
    const changes = fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 8 });
    fc.assert(
      fc.property(changes, fc.nat(), fc.boolean(), (all, cut, isHost) => {
        const bytes = Buffer.from(isHost ? host : plugin);
        for (const [at, value] of all) bytes[at % bytes.length] = value;
        const read = bytes.subarray(0, cut % 3 === 0 ? cut % bytes.length : bytes.length);
        try {
          (isHost ? readHostMessages : readPluginMessages)(read);
        } catch (error) {
          expect(error).toBeInstanceOf(Malformed);
        }
      }),
      { numRuns: 10 * RUNS },
    );
    expect(Object.getPrototypeOf({})).toBe(Object.prototype);
  });
});
