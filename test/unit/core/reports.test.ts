/** The report queue: batches, retries, rejected entries, back-pressure. */
import { describe, expect, test } from 'vitest';
import { Rejected, type ReportEntry, Unavailable } from '../../../src/adapters/contract.ts';
import { inputBytes } from '../../../src/core/handlers/report-size.ts';
import { engineOf, pause, type Script } from './engine-of.ts';

const policy = (batch: string, more = ''): string => `
handlers: { out: { adapter: log-script, config: { script: out }, batch: ${batch} } }
rules:
  - { name: written, report: { handler: out, input: { path: request.path, code: response.code } }, calls: [log] }
${more}`;

function sink(
  write: (batch: number, entries: readonly ReportEntry[]) => void | Promise<void> = () => {},
): Script & { readonly batches: (readonly ReportEntry[])[] } {
  const batches: (readonly ReportEntry[])[] = [];
  return {
    batches,
    write: async (entries) => {
      batches.push(entries);
      await write(batches.length, entries);
    },
  };
}
const paths = (batches: readonly (readonly ReportEntry[])[]): unknown[][] =>
  batches.map((entries) => entries.map(({ input }) => input['path']));

describe('a batch goes', () => {
  test('when it is full, in order', async () => {
    const out = sink();
    const { log, engine } = await engineOf(policy('{ max: 3, maxAge: 1m }'), { out });
    for (let entry = 0; entry < 7; entry++) void log({ 'request.path': `/${entry}` });
    await pause(5);
    expect(paths(out.batches.slice(0, 2))).toEqual([
      ['/0', '/1', '/2'],
      ['/3', '/4', '/5'],
    ]);
    await engine.flush();
    expect(paths(out.batches).flat()).toEqual(['/0', '/1', '/2', '/3', '/4', '/5', '/6']);
    expect(engine.meters.ofHandler('out').written).toBe(7);
  });

  test('when its oldest entry reaches the maximum age', async () => {
    const out = sink();
    const { log } = await engineOf(policy('{ max: 100, maxAge: 30ms }'), { out });
    void log({ 'request.path': '/a' });
    await pause(10);
    expect(out.batches).toHaveLength(0);
    await pause(60);
    expect(paths(out.batches)).toEqual([['/a']]);
  });

  test('when it reaches the maximum size', async () => {
    const out = sink();
    const { log } = await engineOf(policy('{ max: 100, maxAge: 1m, maxBytes: 4000 }'), { out });
    for (let entry = 0; entry < 4; entry++) void log({ 'request.path': '/'.padEnd(1500, String(entry)) });
    await pause(5);
    expect(out.batches.length).toBeGreaterThan(0);
    for (const batch of out.batches) expect(batch.length).toBeLessThanOrEqual(2);
  });
});

describe('a backend', () => {
  test('that was unavailable gets the same entries again, with the same ids, before newer ones', async () => {
    const out = sink((batch) => {
      if (batch <= 2) throw new Unavailable('broker is away');
    });
    const { log, engine, logged } = await engineOf(policy('{ max: 2, maxAge: 10ms }'), { out });
    for (let entry = 0; entry < 4; entry++) void log({ 'request.path': `/${entry}` });
    await engine.flush();
    expect(paths(out.batches)).toEqual([
      ['/0', '/1'],
      ['/0', '/1'],
      ['/0', '/1'],
      ['/2', '/3'],
    ]);
    expect(new Set(out.batches.slice(0, 3).map((entries) => entries.map(({ id }) => id).join())).size).toBe(1);
    expect(engine.meters.ofHandler('out')).toMatchObject({ written: 4, retried: 2, deadLettered: 0, lost: 0 });
    expect(logged.filter(({ level }) => level === 'warn')).toHaveLength(1);
  });

  test('that sets a retry time is not asked before it', async () => {
    let firstAtMs = 0;
    let secondAtMs = 0;
    const out = sink((batch) => {
      if (batch === 1) {
        firstAtMs = performance.now();
        throw new Unavailable('throttled', 300);
      }
      secondAtMs = performance.now();
    });
    const { log, engine } = await engineOf(policy('{ max: 1, maxAge: 10ms }'), { out });
    void log();
    await engine.flush();
    expect(secondAtMs - firstAtMs).toBeGreaterThan(220); // 300 ms, spread by a quarter
  });

  test('that rejects entries gets them once; they are counted and logged', async () => {
    const out = sink((batch) => {
      if (batch === 1) throw new Rejected('too large', [1]);
      if (batch === 2) throw new Rejected('no such topic');
      throw new TypeError('a fault');
    });
    const { log, engine, logged } = await engineOf(policy('{ max: 3, maxAge: 10ms }'), { out });
    for (let entry = 0; entry < 9; entry++) void log({ 'request.path': `/${entry}` });
    await engine.flush();
    expect(out.batches).toHaveLength(3);
    expect(engine.meters.ofHandler('out')).toMatchObject({ written: 2, deadLettered: 7, retried: 0 });
    const lines = logged.filter(({ message }) => message === 'reports were rejected and are kept in memory'); // at most one a minute
    expect(lines.map(({ fields }) => fields)).toEqual([
      {
        handler: 'log-script/out',
        why: expect.stringContaining('too large'),
        rejected: 1,
        written: 2,
        first: expect.stringMatching(/^rule written, id \S+, \d+ bytes: path=text of 2, code=200$/),
        entries: [expect.stringMatching(/^\S+ of written$/)],
        show: expect.stringMatching(/^sluice deadletter show \S+$/),
        times: 1,
      },
    ]);
  });

  test.each([
    ['indexes that the batch does not have', [0, 9999], '[9999]'],
    ['a negative index', [-1], '[-1]'],
    ['a fraction', [0.5], '[0.5]'],
    ['nothing', [], 'empty'],
    ['no list', 5, 'a number'],
    ['names', ['a'], '[a string]'],
  ])('that rejects %s is not believed: all are kept, and the log says why', async (_what, entries, found) => {
    const out = sink(() => {
      throw new Rejected('too large', entries as number[]);
    });
    const { log, engine, logged } = await engineOf(policy('{ max: 3, maxAge: 10ms }'), { out });
    for (let entry = 0; entry < 3; entry++) void log();
    await engine.flush();
    expect(engine.meters.ofHandler('out')).toMatchObject({ written: 0, deadLettered: 3 });
    expect(logged.find(({ message }) => message.startsWith('reports were rejected'))?.fields).toMatchObject({
      why: expect.stringContaining(`the list of its entries is ${found}; expected indexes from 0 to 2`),
      rejected: 3,
      written: 0,
    });
  });

  test('that rejects an entry twice in one list has rejected it once', async () => {
    const out = sink(() => {
      throw new Rejected('too large', [1, 1]);
    });
    const { log, engine } = await engineOf(policy('{ max: 3, maxAge: 10ms }'), { out });
    for (let entry = 0; entry < 3; entry++) void log();
    await engine.flush();
    expect(engine.meters.ofHandler('out')).toMatchObject({ written: 2, deadLettered: 1 });
  });

  test('that hangs is abandoned at its deadline, and retried', async () => {
    const out = sink(async (batch) => {
      if (batch === 1) await new Promise(() => {});
    });
    const { log, engine } = await engineOf(policy('{ max: 1, maxAge: 10ms }, deadline: 20ms'), { out });
    void log();
    await engine.flush();
    expect(out.batches).toHaveLength(2);
    expect(engine.meters.ofHandler('out').failures.late).toBe(1);
  });
});

describe('a full queue', () => {
  const rules = `  - { name: seen, report: { handler: out, input: { path: request.path } }, calls: [http] }\n`;

  test('applies back-pressure to the log, and drops reports of checks, whose answers never wait', async () => {
    let isAway = true;
    const out = sink(() => {
      if (isAway) throw new Unavailable('away');
    });
    const { log, http, engine } = await engineOf(
      policy('{ max: 10, maxAge: 10ms }', rules),
      { out },
      { reports: { maxWaiting: 3, maxWaitingBytes: 1e9 } },
    );
    expect([log(), log()]).toEqual([undefined, undefined]);
    const waits = log();
    expect(waits).toBeInstanceOf(Promise);
    expect(http()).not.toBeInstanceOf(Promise);
    expect(engine.meters.ofRule('seen').dropped).toBe(1);
    expect(engine.handlers()[0]?.queued).toBe(3);
    isAway = false;
    await waits;
    await engine.flush();
    expect(out.batches.at(-1)).toHaveLength(3);
  });

  test('may be full by bytes', async () => {
    const out = sink(() => {
      throw new Unavailable('away');
    });
    const { log } = await engineOf(
      policy('{ max: 100, maxAge: 1m }'),
      { out },
      { reports: { maxWaiting: 1000, maxWaitingBytes: 3000 }, graceMs: 10 },
    );
    expect(log({ 'request.path': '/'.padEnd(1000, 'a') })).toBeUndefined();
    expect(log({ 'request.path': '/'.padEnd(3000, 'a') })).toBeInstanceOf(Promise);
  });
});

describe('at the end', () => {
  test('queued reports are written before the handler closes', async () => {
    const steps: string[] = [];
    const out = {
      write: async () => {
        await pause(10);
        steps.push('written');
      },
      close: () => {
        steps.push('closed');
      },
    };
    const { log, engine } = await engineOf(policy('{ max: 100, maxAge: 1m }'), { out });
    void log();
    await engine.drain();
    expect(steps).toEqual(['written', 'closed']);
  });

  test('reports that cannot be written in time are dropped, and their number is logged', async () => {
    const { log, engine, logged } = await engineOf(
      policy('{ max: 2, maxAge: 1m }'),
      {
        out: {
          write: () => {
            throw new Unavailable('away');
          },
        },
      },
      { graceMs: 50 },
    );
    for (let entry = 0; entry < 5; entry++) void log();
    const beganAtMs = performance.now();
    await engine.drain();
    expect(performance.now() - beganAtMs).toBeLessThan(10_000);
    expect(engine.meters.ofHandler('out').lost).toBe(5);
    expect(
      logged
        .filter(({ level, message }) => level === 'error' && message.startsWith('reports lost'))
        .map(({ fields }) => fields['entries'])
        .reduce((a, b) => Number(a) + Number(b), 0),
    ).toBe(5);
  });

  test('a drain gives reports the time that it has left, however little a reload gives them', async () => {
    let asked = 0;
    const out = sink(() => {
      if (++asked < 4) throw new Unavailable('away');
    });
    const { log, engine } = await engineOf(policy('{ max: 2, maxAge: 1m }'), { out }, { graceMs: 1 });
    void log();
    await engine.drain(30_000);
    expect(engine.meters.ofHandler('out')).toMatchObject({ lost: 0, written: 1 });
  });
});

describe('a hung backend', () => {
  test('does not delay the end: queued and unfinished reports are dropped, counted and logged in one line', async () => {
    const { log, engine, logged } = await engineOf(
      policy('{ max: 2, maxAge: 10ms }, deadline: 60s'),
      { out: { write: () => new Promise(() => {}) } },
      { graceMs: 100 },
    );
    for (let entry = 0; entry < 6; entry++) void log({ 'request.path': `/secret-${entry}` });
    await pause(30); // the first batch is at the backend
    const beganAtMs = performance.now();
    await engine.drain();
    expect(performance.now() - beganAtMs).toBeLessThan(5000);
    expect(engine.meters.ofHandler('out')).toMatchObject({ lost: 6, written: 0 });
    const lines = logged.filter(({ message }) => message.startsWith('reports lost'));
    expect(lines).toHaveLength(1);
    expect(lines[0]?.fields).toMatchObject({ entries: 6 });
    expect(JSON.stringify(lines)).not.toContain('secret');
  });

  test('does not delay a reload that removes its handler', async () => {
    const { log, engine, load } = await engineOf(
      policy('{ max: 1, maxAge: 10ms }, deadline: 60s'),
      { out: { write: () => new Promise(() => {}) } },
      { graceMs: 100 },
    );
    void log();
    await engine.use(await load('rules: [{ name: none, deny: {}, match: "false" }]'));
    await pause(1000);
    expect(engine.meters.read().handlers.size).toBe(0);
    await engine.drain();
  });
});

describe('a queue measures', () => {
  test('nested maps and lists, so that its bytes are bounded', async () => {
    const headers = Object.fromEntries(Array.from({ length: 60 }, (_, at) => [`x-${at}`, 'v'.repeat(1000)]));
    const { log } = await engineOf(
      policy('{ max: 1000, maxAge: 1m }').replace('code: response.code', 'headers: request.headers'),
      { out: sink() },
      { reports: { maxWaiting: 1000, maxWaitingBytes: 100_000 }, graceMs: 10 },
    );
    expect(log({ 'request.headers': headers })).toBeUndefined();
    expect(log({ 'request.headers': headers })).toBeInstanceOf(Promise);
  });

  test('long lists, nested maps and bytes approximately', () => {
    expect(inputBytes({ a: 'x'.repeat(1000) })).toBeGreaterThan(1000);
    expect(inputBytes({ a: { b: { c: ['x'.repeat(500), 'x'.repeat(500)] } } })).toBeGreaterThan(1000);
    expect(inputBytes({ a: Array.from({ length: 100_000 }, () => 'x'.repeat(100)) })).toBeGreaterThan(10_000_000);
    expect(inputBytes({ a: new Uint8Array(5000) })).toBeGreaterThan(5000);
    const itself: Record<string, unknown> = {};
    itself['itself'] = itself;
    expect(inputBytes(itself)).toBeLessThan(10_000);
  });
});

test("batch keys that a reload takes away are the adapter's again", async () => {
  const out = sink();
  const { log, engine, load } = await engineOf(policy('{ max: 1, maxAge: 1m }'), { out });
  await engine.use(await load(policy('{ maxAge: 1m }')));
  void log();
  await pause(20);
  expect(out.batches).toHaveLength(0);
});

test('dropped reports are logged once, and the number of those after it at the end', async () => {
  const rules = '  - { name: seen, report: { handler: out, input: { path: request.path } }, calls: [http] }\n';
  const { http, log, logged, engine } = await engineOf(
    policy('{ max: 10, maxAge: 1m }', rules),
    { out: sink() },
    { reports: { maxWaiting: 1, maxWaitingBytes: 1e9 } },
  );
  void log();
  for (let call = 0; call < 5; call++) await http();
  const lines = (): unknown[] =>
    logged
      .filter(({ message }) => message === 'reports dropped: the queue of their handler is full')
      .map(({ level, fields }) => ({ level, fields }));
  const first = { level: 'warn', fields: { rule: 'seen', handler: 'log-script/out', times: 1 } };
  expect(lines()).toEqual([first]);
  await engine.drain();
  expect(lines()).toEqual([first, { level: 'warn', fields: { more: 4 } }]);
});

test('failed fields are null and counted, the entry is written', async () => {
  const out = sink();
  const { log, engine } = await engineOf(
    policy('{ max: 1, maxAge: 10ms }').replace('code: response.code', `code: 'request.headers["x-none"]'`),
    { out },
  );
  void log();
  await engine.flush();
  expect(out.batches[0]?.[0]?.input).toEqual({ path: '/', code: null });
  expect(engine.meters.ofRule('written').texts).toBe(1);
});
