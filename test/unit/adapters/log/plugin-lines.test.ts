/** A plugin that logs too much, or what cannot be read, wherever it runs. */
import { describe, expect, onTestFinished, test } from 'vitest';
import { eventually, type OpenedForTest, openForTest, testCall } from '../../../../src/adapters/testing/index.ts';
import type { PlaceName } from '../../../../src/adapters/testing/places.ts';
import talkative, { FIELDS, FLOOD } from '../../../parts/faulty/talkative.ts';

const LEFT_OUT = 'log lines of a plugin were left out; it writes too many';
const MODULE = new URL('../../../parts/faulty/talkative.ts', import.meta.url);
const PLACES: readonly PlaceName[] = ['process', 'protocol', 'worker', 'grpc'];

interface Opened extends OpenedForTest {
  readonly say: (value: string) => Promise<void>;
}

async function opened(place: PlaceName): Promise<Opened> {
  const open = await openForTest(talkative, { config: {}, handlerName: 'h', place, module: MODULE });
  onTestFinished(() => open.close());
  const check = open.handler.check?.({ rule: 'r', params: undefined });
  return {
    ...open,
    async say(value) {
      expect(await check?.({ value } as never, testCall())).toMatchObject({ kind: 'allow' });
    },
  };
}

describe.each(PLACES)('a plugin in the place %s', (place) => {
  test('that logs a new text at each call has a burst of lines, and then a few; their number is told', async () => {
    const { say, logged, close } = await opened(place);
    await say('flood:info');
    const told = (): typeof logged => logged.filter(({ message }) => message.startsWith('line '));
    await eventually(() => expect(told().length).toBeGreaterThanOrEqual(100));
    await say('a text'); // later than those before
    await close();
    const lines = told().filter(({ level }) => level === 'info');
    expect(lines[0]).toMatchObject({ message: 'line 0', fields: { handler: 'h', adapter: 'check-talkative', at: 0 } });
    expect(lines.length).toBeLessThan(200); // 10 each second, on a slow machine
    const rest = logged.filter(({ message, fields }) => message === LEFT_OUT && fields['of'] === 'info');
    expect(rest.reduce((sum, { fields }) => sum + Number(fields['lines']), lines.length)).toBeGreaterThanOrEqual(FLOOD);
    expect(rest).toHaveLength(1);
    expect(rest[0]).toMatchObject({ level: 'warn', fields: { handler: 'h', adapter: 'check-talkative' } });
  });

  test('that logs while it closes has its lines, and their number is told', async () => {
    const { logged, close } = await opened(place);
    await close();
    await eventually(() => expect(logged.some(({ message }) => message === LEFT_OUT)).toBe(true));
    expect(logged.length).toBeLessThan(200);
    expect(logged.at(-1)).toMatchObject({ message: LEFT_OUT, fields: { handler: 'h', of: 'error' } });
  });

  test('that logs much has other levels left', async () => {
    const { say, logged } = await opened(place);
    await say('flood:info');
    await say('message');
    await eventually(() => expect(logged.at(-1)?.level).toBe('warn'));
    expect(logged.at(-1)?.message).toHaveLength(4099);
    await say('no text');
    await eventually(() => expect(logged.at(-1)?.message).toBe('(cannot be read)'));
  });

  test('that logs what cannot be read, or is too much, has a line of it, within bounds, and answers', async () => {
    const { say, logged } = await opened(place);
    for (const what of Object.keys(FIELDS)) await say(what);
    await eventually(() => expect(logged).toHaveLength(Object.keys(FIELDS).length));
    for (const { message, fields } of logged) {
      expect(JSON.stringify(fields).length, message).toBeLessThan(30_000);
      expect(fields, message).toMatchObject({ handler: 'h', adapter: 'check-talkative', ...SHOWN[message] });
    }
    expect(logged.map(({ message }) => message)).toEqual(Object.keys(FIELDS));
  });
});

const error = (message: string): unknown => expect.objectContaining({ message });
const SHOWN: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
  'a getter': { good: 1, bad: { a: 1, b: '(cannot be read)' } },
  'a getter of the fields': { good: 1, bad: '(cannot be read)' },
  'a cycle': { name: 'cycle', self: { name: 'cycle' } },
  'a BigInt': { some: '7', many: 'a bigint of more than 77 digits' },
  'a huge list': { list: expect.arrayContaining([0, 99, '... 99900 more']) },
  'many names': { name99: 99, '...': '9900 more' },
  'a long text': { text: `${'x'.repeat(4096)}...` },
  'a buffer': { bytes: '(1048576 bytes)' },
  'a proxy': { fields: '(cannot be read)' },
  'a proxy within': { good: 1, proxy: '(cannot be read)' },
  'a map': { map: { a: [1] } },
  'an error': {
    error: expect.objectContaining({ message: 'broken', name: 'TypeError', code: 'ECODE', cause: error('deeper') }),
  },
  'errors within': { list: [error('first')], of: { error: error('second') } },
  'an error that cannot be read': { error: '(cannot be read)' },
  'a function': { function: 'a function', symbol: 'a symbol', instance: { a: 1 } },
  'a text': { fields: 'no fields' },
  'names of others': { level: 5 },
};

test.each(['print', 'stderr'])('what a plugin in a worker prints (%s) is bounded', async (what) => {
  const { say, logged, close } = await opened('worker');
  await say(what);
  await eventually(() => expect(logged.length).toBeGreaterThan(0));
  await close();
  const printed = logged.filter(({ fields }) => 'from' in fields);
  expect(printed[0]?.fields).toMatchObject({ handler: 'h', from: what === 'print' ? 'console' : 'stderr' });
  expect(printed.length).toBeLessThan(200);
  for (const { message } of printed) expect(message.length).toBeLessThan(4100);
  if (what === 'print') expect(printed.map(({ message }) => message)).toContain(LEFT_OUT);
});
