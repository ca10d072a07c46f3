import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { type Adapter, allow, defineAdapter, type Host } from '../../../src/adapters/contract.ts';
import { type HandlerEnvironment, openHandler } from '../../../src/adapters/open-handler.ts';
import { createPluginMetrics, joined, piecesOf } from '../../../src/adapters/plugin-metrics.ts';
import { createSharedMemory } from '../../../src/adapters/shared-memory.ts';
import { eventually, type LogLine } from '../../../src/adapters/testing/index.ts';

function environment(change: Partial<HandlerEnvironment> = {}) {
  const logged: LogLine[] = [];
  const keep =
    (level: LogLine['level']) =>
    (message: string, fields = {}): void => {
      logged.push({ level, message, fields });
    };
  const log = { debug: keep('debug'), info: keep('info'), warn: keep('warn'), error: keep('error') };
  return { log, logged, metrics: createPluginMetrics(log), shared: createSharedMemory(), restartAfterMs: 5, ...change };
}

interface Pieces {
  readonly open?: (host: Host) => void | Promise<void>;
  readonly close?: () => void | Promise<void>;
  readonly handler?: object;
}
const adapterOf = ({ open, close, handler }: Pieces): Adapter => ({
  ...defineAdapter({
    name: 'check-example',
    summary: 'For these tests.',
    config: z.strictObject({}),
    serves: { check: { input: { value: 'string' } } },
    async open(_, host) {
      await open?.(host);
      return { check: () => () => allow(), ...(close === undefined ? {} : { close }), ...handler };
    },
  }),
});
const named = (name = 'one') => ({ name, config: {}, folder: '/policies' });

describe('an open handler', () => {
  test('has a host bound to its name and folder, and the clock it was given', async () => {
    let host: Host | undefined;
    const around = environment({ clock: { nowMs: () => 42, monotonicMs: () => 42 } });
    const { handler, readiness, close } = await openHandler(
      adapterOf({
        open: (given) => {
          host = given;
        },
      }),
      named(),
      around,
    );
    host?.log.info('hello', { more: 1 });
    expect(around.logged).toEqual([
      { level: 'info', message: 'hello', fields: { handler: 'one', adapter: 'check-example', more: 1 } },
    ]);
    expect([host?.clock.nowMs(), host?.folder, host?.signal.aborted]).toEqual([42, '/policies', false]);
    expect(
      handler.check?.({ rule: 'r', params: undefined })(
        {},
        { signal: new AbortController().signal, remainingMs: 1, id: '' },
      ),
    ).toMatchObject({ kind: 'allow' });
    expect(readiness()).toEqual({ ready: true, why: undefined });
    await close();
    expect(host?.signal.aborted).toBe(true);
  });

  test('is ready or not as it sets', async () => {
    let host: Host | undefined;
    const { readiness } = await openHandler(
      adapterOf({
        open: (given) => {
          host = given;
        },
      }),
      named(),
      environment(),
    );
    host?.ready(false, 'Redis is away');
    expect(readiness()).toEqual({ ready: false, why: 'Redis is away' });
    host?.ready(true);
    expect(readiness().ready).toBe(true);
  });

  test('closes after its signal and its background work, once', async () => {
    const steps: string[] = [];
    const { close } = await openHandler(
      adapterOf({
        open: (host) =>
          host.background('work', async (signal) => {
            await new Promise((resolve) => signal.addEventListener('abort', resolve));
            await new Promise((resolve) => setTimeout(resolve, 10));
            steps.push('background ended');
          }),
        close: () => {
          steps.push('closed');
        },
      }),
      named(),
      environment(),
    );
    await Promise.all([close(), close()]);
    await close();
    expect(steps).toEqual(['background ended', 'closed']);
  });

  test('whose close fails counts as closed, and the error is logged', async () => {
    const around = environment();
    const { close } = await openHandler(
      adapterOf({
        close: () => {
          throw new Error('no');
        },
      }),
      named(),
      around,
    );
    await close();
    expect(around.logged).toMatchObject([{ level: 'error', message: 'closing failed' }]);
  });

  test('closes in time although background work ignores its signal', async () => {
    const around = environment({ closeWithinMs: 20 });
    const { close } = await openHandler(
      adapterOf({ open: (host) => host.background('deaf', () => new Promise(() => {})) }),
      named(),
      around,
    );
    await close();
    expect(around.logged).toMatchObject([{ level: 'warn', fields: { work: ['deaf'], waitedMs: 20 } }]);
  });

  test('whose close does not end is abandoned, and logged by name', async () => {
    const around = environment({ closeWithinMs: 20 });
    const { close } = await openHandler(adapterOf({ close: () => new Promise(() => {}) }), named(), around);
    await close();
    expect(around.logged).toMatchObject([
      {
        level: 'warn',
        message: expect.stringContaining('close() does not return') as string,
        fields: { handler: 'one', adapter: 'check-example', waitedMs: 20 },
      },
    ]);
  });

  test('that goes on after it was closed has one line of it, and no others', async () => {
    const env = environment();
    let host: Host | undefined;
    const opened = await openHandler(adapterOf({ open: (given) => void (host = given) }), named(), env);
    host?.log.info('early');
    await opened.close();
    for (let n = 0; n < 3; n++) host?.log.info(`late ${n}`);
    expect(env.logged.map(({ message }) => message)).toEqual([
      'early',
      expect.stringMatching(
        /^a plugin goes on after its handler was closed; end its timers and listeners in close\(\)/,
      ),
    ]);
    expect(env.logged[1]).toMatchObject({
      level: 'warn',
      fields: { handler: 'one', adapter: 'check-example', last: 'late 0' },
    });
  });

  test('is closed with the process', async () => {
    const over = new AbortController();
    let host: Host | undefined;
    await openHandler(
      adapterOf({
        open: (given) => {
          host = given;
        },
      }),
      named(),
      environment({ signal: over.signal }),
    );
    over.abort();
    expect(host?.signal.aborted).toBe(true);
  });
});

describe('background work', () => {
  test('that fails is restarted; until it runs the handler is not ready', async () => {
    let times = 0;
    const around = environment();
    const { readiness, close } = await openHandler(
      adapterOf({
        open: (host) =>
          host.background('poll', async (signal) => {
            if (++times < 3) throw new Error(`no ${times}`);
            await new Promise((resolve) => signal.addEventListener('abort', resolve));
          }),
      }),
      named(),
      around,
    );
    await eventually(() => expect(readiness().why).toBe('poll failed: no 1'));
    await eventually(() => expect([times, readiness().ready]).toEqual([3, true]));
    expect(around.logged.filter(({ level }) => level === 'error')).toHaveLength(2);
    await close();
  });

  test('that ends by itself is not restarted', async () => {
    let times = 0;
    const { close } = await openHandler(
      adapterOf({
        open: (host) =>
          host.background('once', async () => {
            times++;
          }),
      }),
      named(),
      environment(),
    );
    await new Promise((resolve) => setTimeout(resolve, 30));
    expect(times).toBe(1);
    await close();
  });

  test('that fails at the abort is not a failure', async () => {
    const around = environment();
    const { close } = await openHandler(
      adapterOf({
        open: (host) =>
          host.background(
            'read',
            (signal) =>
              new Promise((_, reject) => signal.addEventListener('abort', () => reject(new Error('aborted')))),
          ),
      }),
      named(),
      around,
    );
    await new Promise((resolve) => setTimeout(resolve, 5));
    await close();
    expect(around.logged).toEqual([]);
  });
});

describe('opening', () => {
  test('that fails names adapter and handler, keeps the cause, and leaves nothing open', async () => {
    let host: Host | undefined;
    const cause = new Error('bad file');
    const opening = openHandler(
      adapterOf({
        open: (given) => {
          host = given;
          throw cause;
        },
      }),
      named(),
      environment(),
    );
    await expect(opening).rejects.toMatchObject({
      code: 'ADAPTER_OPEN_FAILED',
      message: '[check-example/one] bad file',
      cause,
    });
    expect(host?.signal.aborted).toBe(true);
  });

  test('that takes too long is abandoned; a handler that opens later is closed', async () => {
    let closed = 0;
    const opening = openHandler(
      adapterOf({
        open: () => new Promise((resolve) => setTimeout(resolve, 60)),
        close: () => {
          closed++;
        },
      }),
      named(),
      environment({ openWithinMs: 10 }),
    );
    await expect(opening).rejects.toMatchObject({ code: 'ADAPTER_OPEN_LATE' });
    await eventually(() => expect(closed).toBe(1));
  });

  test('is aborted with the process', async () => {
    const over = new AbortController();
    const opening = openHandler(
      adapterOf({ open: () => new Promise(() => {}) }),
      named(),
      environment({ signal: over.signal }),
    );
    over.abort();
    await expect(opening).rejects.toMatchObject({
      code: 'ADAPTER_OPEN_FAILED',
      message: '[check-example/one] opening was aborted',
    });
  });

  test.each<[string, object, string]>([
    ['lacks a method', { check: undefined }, 'returned no method "check"'],
    [
      'misspells a method',
      { check: undefined, chek: () => () => allow() },
      'no method "check"; its chek is probably that',
    ],
    ['has a value for a method', { check: true }, 'returned no method "check"; its check is true'],
    ['has a method it does not serve', { charge: () => [] }, 'returned a method "charge", but it does not serve quota'],
  ])('a handler that %s is refused and closed', async (_, handler, says) => {
    let closed = 0;
    const opening = openHandler(
      adapterOf({
        handler,
        close: () => {
          closed++;
        },
      }),
      named(),
      environment(),
    );
    await expect(opening).rejects.toThrow(says);
    await expect(opening).rejects.toMatchObject({ code: 'ADAPTER_METHOD_MISSING' });
    expect(closed).toBe(1);
  });
});

describe('metrics', () => {
  test("counters keep their count over a reload and leave with their handler; the newest opening's page speaks", async () => {
    const around = environment();
    const open = (page: string, name?: string) =>
      openHandler(
        adapterOf({
          open(host) {
            host.metrics.counter('misses', 'What was missed.').add(2);
            host.metrics.page(() => page);
          },
        }),
        named(name),
        around,
      );
    const first = await open('page 1');
    const second = await open('page 2');
    await open('page of "another"', 'an"other');
    const text = () => around.metrics.render();
    expect(await text()).toBe(
      '# HELP sluice_plugin_misses_total What was missed.\n# TYPE sluice_plugin_misses_total counter\n' +
        'sluice_plugin_misses_total{handler="one"} 4\nsluice_plugin_misses_total{handler="an\\"other"} 2\npage 2\npage of "another"\n',
    );
    await second.close(); // the reload failed: the old one goes on
    expect(await text()).toContain('page 1\n');
    expect(await text()).toContain('{handler="one"} 4');
    await first.close(); // no policy has it any more
    expect(await text()).not.toMatch(/page [12]|"one"/);
    expect(await text()).toContain('{handler="an\\"other"} 2');
  });

  test('a counter whose name ends as Prometheus has it is not doubled', async () => {
    const around = environment();
    await openHandler(
      adapterOf({ open: (host) => host.metrics.counter('misses_total', 'What was missed.').add(2) }),
      named(),
      around,
    );
    expect(await around.metrics.render()).toContain('\nsluice_plugin_misses_total{handler="one"} 2\n');
  });

  test('a page whose next piece does not come is left, with what it has', async () => {
    async function* pieces(): AsyncGenerator<string> {
      yield 'one\ntw';
      await new Promise(() => {});
    }
    const read: string[] = [];
    await expect(async () => {
      for await (const piece of piecesOf(pieces, 20)) read.push(piece);
    }).rejects.toThrow('nothing came for 20 ms');
    expect(read).toEqual(['one\ntw', '\n']);
    await expect(joined(piecesOf(() => new Promise<string>(() => {}), 20))).rejects.toThrow('nothing came');
  });

  test('a page that fails is omitted, which a line says, and logged; the others are shown', async () => {
    const around = environment();
    await openHandler(
      adapterOf({
        open: (host) =>
          host.metrics.page(() => {
            throw new Error('no');
          }),
      }),
      named('bad'),
      around,
    );
    await openHandler(adapterOf({ open: (host) => host.metrics.page(async () => 'fine') }), named('good'), around);
    expect(await around.metrics.render()).toBe('# INCOMPLETE\nfine\n');
    expect(around.logged).toMatchObject([{ level: 'warn', fields: { handler: 'bad' } }]);
  });
});

test('shared memory belongs to a handler, a name and a size, and outlives the handler', async () => {
  const around = environment();
  const seen: SharedArrayBuffer[] = [];
  const open = (name: string, part: string, bytes: number) =>
    openHandler(
      adapterOf({
        open: (host) => {
          seen.push(host.shared(part, bytes));
        },
      }),
      named(name),
      around,
    );
  await (await open('one', 'counts', 8)).close();
  for (const [name, part, bytes] of [
    ['one', 'counts', 8],
    ['other', 'counts', 8],
    ['one', 'more', 8],
    ['one', 'counts', 16],
  ] as const)
    await open(name, part, bytes);
  const [first, ...others] = seen;
  expect(others.map((buffer) => buffer === first)).toEqual([true, false, false, false]);
  expect(others.map(({ byteLength }) => byteLength)).toEqual([8, 8, 8, 16]);
});

test('a bug in open is said with its place, a complaint about the config without', async () => {
  const opening = (open: () => void): Promise<unknown> => openHandler(adapterOf({ open }), named(), environment());
  await expect(opening(() => (undefined as unknown as { readonly a: () => void }).a())).rejects.toThrow(
    /^\[check-example\/one\] Cannot read properties of undefined \(reading 'a'\) \(thrown at .*open-handler\.test\.ts:\d+:\d+\)$/,
  );
  await expect(
    opening(() => {
      throw new Error('the file is empty');
    }),
  ).rejects.toThrow(/^\[check-example\/one\] the file is empty$/);
});
