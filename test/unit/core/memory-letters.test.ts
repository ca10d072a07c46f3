/** Refused reports of handlers in memory: kept within bounds, shown, sent again, dropped, over reloads. */
import { describe, expect, test, vi } from 'vitest';
import { Rejected, type ReportEntry } from '../../../src/adapters/contract.ts';
import type { LetterRequest } from '../../../src/core/handlers/dead-letter-requests.ts';
import { LetterBoxes, MemoryLetters } from '../../../src/core/handlers/memory-letters.ts';
import { engineOf, type Script } from './engine-of.ts';

const policy = ({ version = 1, rule = 'written', handler = 'out' } = {}): string => `
handlers: { ${handler}: { adapter: log-script, config: { script: out, version: ${version} }, batch: { max: 3, maxAge: 10ms } } }
rules:
  - { name: ${rule}, report: { handler: ${handler}, input: { path: request.path, code: response.code, took: response.duration } }, calls: [log] }
`;

interface Sink extends Script {
  refuses: boolean;
  readonly entries: ReportEntry[];
  readonly refused: ReportEntry[];
  readonly forgotten: unknown[];
}
function sink(): Sink {
  const out: Sink = {
    refuses: true,
    entries: [],
    refused: [],
    forgotten: [],
    write: async (entries) => {
      await Promise.resolve();
      if (out.refuses) {
        out.refused.push(...entries);
        throw new Rejected('no such topic');
      }
      out.entries.push(...entries);
    },
    forget: (made) => {
      out.forgotten.push(made);
    },
  };
  return out;
}

async function refused(count: number) {
  const out = sink();
  const started = await engineOf(policy(), { out });
  const { engine, log } = started;
  for (let entry = 0; entry < count; entry++)
    void log({ 'request.path': `/${entry}`, 'response.code': 200, 'response.duration': '15ms' });
  await engine.flush();
  const ask = (request: object) => engine.letters({ handler: undefined, ...request } as LetterRequest);
  return { ...started, out, ask };
}

describe('a refused report', () => {
  test('is listed with its reason, shown with its values, and in the state of its handler', async () => {
    const { ask, engine } = await refused(4);
    const { rows } = await ask({ kind: 'list' });
    expect(rows).toHaveLength(4);
    expect(rows[0]).toMatchObject({ handler: 'out', rule: 'written', why: '[log-script/out] no such topic' });
    const { shown = '' } = await ask({ kind: 'show', id: rows[1]?.id });
    expect(JSON.parse(shown)).toMatchObject({ id: rows[1]?.id, values: { path: '/1', code: 200 } });
    expect(engine.handlers()[0]?.deadLetters).toMatchObject({ kept: 4, dropped: 0 });
    expect((await ask({ kind: 'list', handler: 'other' })).rows).toEqual([]);
    expect((await ask({ kind: 'show', id: 'none' })).shown).toBeUndefined();
  });

  test('is sent again under its id with its values and types, by a handler that a reload mended, for a rule that is gone', async () => {
    const { ask, engine, load, out } = await refused(5);
    const { rows } = await ask({ kind: 'list' });
    await engine.use(await load(policy({ version: 2, rule: 'other' })));
    expect((await ask({ kind: 'list' })).rows).toEqual(rows);
    expect((await ask({ kind: 'replay' })).settled).toHaveLength(5);
    await engine.flush();
    expect((await ask({ kind: 'list' })).rows.map(({ id }) => id)).toEqual(rows.map(({ id }) => id)); // refused again
    out.refuses = false;
    const wanted = rows.slice(1, 3).map(({ id }) => id);
    expect(await ask({ kind: 'replay', ids: [...wanted, 'none'] })).toMatchObject({ settled: wanted, failed: [] });
    await engine.flush();
    expect(out.entries.map(({ id, sink: made, input }) => [id, made, input])).toEqual(
      wanted.map((id, at) => [id, 'written', out.refused[at + 1]?.input]),
    );
    expect((await ask({ kind: 'list' })).rows).toHaveLength(3);
    await vi.waitFor(() => expect(out.forgotten.filter((made) => made === 'written').length).toBeGreaterThanOrEqual(2));
  });

  test('is named when the server stops: how many of which handler are lost, and why', async () => {
    const { engine, logged, ask } = await refused(3);
    const { rows } = await ask({ kind: 'list' });
    await engine.drain();
    expect(logged.filter(({ message }) => message.startsWith('dead letters'))).toEqual([
      {
        level: 'warn',
        message: 'dead letters lost: they were in memory; with spool: disk they outlive the process',
        fields: {
          handler: 'out',
          entries: rows.length,
          last: `${rows.at(-1)?.id} of written`,
          why: rows.at(-1)?.why,
        },
      },
    ]);
  });

  test('that an operator has settled is not named when the server stops', async () => {
    const { engine, logged, ask } = await refused(3);
    await ask({ kind: 'drop', ids: undefined });
    await engine.drain();
    expect(logged.filter(({ message }) => message.startsWith('dead letters'))).toEqual([]);
  });

  test('is dropped when an operator says so, or when no handler of its name is in memory', async () => {
    const { ask, engine, load, logged } = await refused(3);
    const [first] = (await ask({ kind: 'list' })).rows;
    expect((await ask({ kind: 'drop', ids: [first?.id ?? ''] })).settled).toEqual([first?.id]);
    expect((await ask({ kind: 'list' })).rows).toHaveLength(2);
    await engine.use(await load(policy({ handler: 'next' })));
    expect((await ask({ kind: 'list' })).rows).toEqual([]);
    expect(logged).toContainEqual(
      expect.objectContaining({
        message: expect.stringContaining('dead letters are dropped'),
        fields: { handlers: ['out'] },
      }),
    );
  });
});

describe('the list', () => {
  const put = (letters: MemoryLetters, id: string, bytes = 10, why = 'no'): void =>
    letters.put({ id, rule: 'r', why, atMs: 0 }, new Uint8Array(bytes));

  test('has a number of letters; the oldest go first, counted', () => {
    const letters = new MemoryLetters({ maxLetters: 3, maxBytes: 1e6 });
    for (const id of ['a', 'b', 'c', 'd', 'e']) put(letters, id);
    expect(letters.all.map(({ id }) => id)).toEqual(['c', 'd', 'e']);
    expect(letters.state).toMatchObject({ kept: 3, dropped: 2 });
  });

  test('has a size, whatever sizes a stranger chose', () => {
    const letters = new MemoryLetters({ maxLetters: 1000, maxBytes: 100_000 });
    put(letters, 'huge', 200_000);
    expect(letters.state).toEqual({ kept: 0, bytes: 0, dropped: 1 });
    for (let at = 0; at < 2000; at++) put(letters, `${at}`, (at * 7919) % 30_000, 'w'.repeat(100_000));
    const { kept, bytes, dropped } = letters.state;
    expect(bytes).toBeLessThanOrEqual(100_000);
    expect(kept + dropped).toBe(2001);
    expect(kept).toBeGreaterThan(0);
    expect(letters.all.every(({ why }) => why.length === 1000)).toBe(true);
    letters.take(() => true);
    expect(letters.state).toMatchObject({ kept: 0, bytes: 0 });
  });

  test('holds copies, not the buffer that an encoder reuses', () => {
    const letters = new MemoryLetters();
    const slab = new Uint8Array(1e6).fill(7);
    letters.put({ id: 'a', rule: 'r', why: 'no', atMs: 0 }, slab.subarray(10, 20));
    slab.fill(0);
    expect([...(letters.all[0]?.bytes ?? [])]).toEqual(Array.from({ length: 10 }, () => 7));
    expect(letters.all[0]?.bytes.buffer.byteLength).toBe(10);
  });

  test('of a handler that a policy no longer has is forgotten', () => {
    const boxes = new LetterBoxes();
    put(boxes.of('a'), '1');
    boxes.of('b');
    expect(boxes.keepOnly(new Set(['c']))).toEqual(['a']);
    expect(boxes.of('a').state.kept).toBe(0);
  });
});
