import { spawn } from 'node:child_process';
import { createWriteStream, mkdtempSync, readFileSync, rmSync, truncateSync, type WriteStream } from 'node:fs';
import { Writable } from 'node:stream';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, describe, expect, test } from 'vitest';
import { Unavailable } from 'sluice/plugin';
import { eventually, openForTest, testAdapter, testCall } from 'sluice/plugin/testing';
import { logTo } from './adapter.ts';
import { lineFormat } from '../lines/format.ts';

const folder = mkdtempSync(join(tmpdir(), 'log-stdout-'));
afterAll(() => rmSync(folder, { recursive: true }));

/** Each handler under test writes to its own file. */
let file = '';
const lineOf = lineFormat(undefined).line;
const opened: WriteStream[] = [];
const fresh = (): WriteStream => {
  file = join(folder, `${opened.length}.jsonl`);
  const stream = createWriteStream(file);
  opened.push(stream);
  return stream;
};
let current = fresh();
afterAll(() => {
  for (const stream of opened) stream.destroy();
});
const toFile = {
  get stdout() {
    return current;
  },
  get stderr() {
    return current;
  },
};

testAdapter(logTo(toFile), {
  runner: { describe, test },
  config: () => {
    current = fresh();
    return { stream: 'stderr' };
  },
  badConfigs: [
    { config: { stream: 'stdin' }, says: /stream/ },
    { config: { text: '%NO_SUCH%' }, says: /%NO_SUCH% is not supported; give the value to the rule as a field/ },
  ],
  report: {
    input: (n) => ({ n, path: `/a/${n}`, big: 'ü'.repeat(1000) }),
    read: () =>
      readFileSync(file, 'utf8')
        .split('\n')
        .slice(0, -1)
        .map((line) => {
          const { n, path, big } = JSON.parse(line) as Record<string, unknown>;
          return { n, path, big };
        }),
  },
});

describe('log-stdout', () => {
  const entry = { sink: 'slow', id: 'id-1', timeMs: Date.UTC(2026, 0, 1), input: {} };

  test('a line has time, rule, id, and the fields in their order', () => {
    const input = {
      zebra: 1,
      apple: 'a',
      at: new Date(Date.UTC(2026, 0, 2)),
      none: null,
      took: '1.5s',
      raw: new Uint8Array([1, 2]),
      odd: Number.NaN,
      of: { b: [1], a: true },
    };
    expect(lineOf({ ...entry, input })).toBe(
      '{"time":"2026-01-01T00:00:00.000Z","rule":"slow","id":"id-1","zebra":1,"apple":"a","at":"2026-01-02T00:00:00.000Z","none":null,"took":"1.5s","raw":"AQI=","odd":"NaN","of":{"b":[1],"a":true}}\n',
    );
  });

  test('a value with line ends stays on one line', () => {
    expect(lineOf({ ...entry, input: { a: 'x\ny\u2028' } }).split('\n')).toHaveLength(2);
  });

  test('a closed reader is Unavailable, and the process lives on', async () => {
    const reader = spawn(process.execPath, ['-e', ''], { stdio: ['pipe', 'ignore', 'ignore'] });
    await new Promise((resolve) => reader.once('exit', resolve));
    const { handler, readiness, close } = await openForTest(logTo({ stdout: reader.stdin, stderr: reader.stdin }), {
      config: {},
    });
    const write = async (): Promise<void> =>
      handler.write?.([{ ...entry, input: { fill: 'x'.repeat(100_000) } }], testCall());
    await expect(write()).rejects.toThrow(Unavailable);
    await expect(write()).rejects.toThrow('stdout cannot be written');
    expect(readiness().ready).toBe(false);
    await close();
  });

  test('a batch that is retried while it is written is written once', async () => {
    const held: { readonly text: string; readonly take: (error?: Error) => void }[] = [];
    const pipe = new Writable({ write: (chunk: Buffer, _, take) => void held.push({ text: chunk.toString(), take }) });
    const { handler, close } = await openForTest(logTo({ stdout: pipe, stderr: pipe }), { config: {} });
    const write = async (...ids: string[]): Promise<void> =>
      handler.write?.(
        ids.map((id) => ({ ...entry, id, input: {} })),
        testCall(),
      );
    const [first, again] = [write('a', 'b'), write('a', 'b')];
    await eventually(() => expect(held).toHaveLength(1));
    held[0]?.take();
    await Promise.all([first, again]);
    const next = write('c');
    await eventually(() => expect(held).toHaveLength(2));
    held[1]?.take();
    await next;
    expect(
      held
        .map(({ text }) => text)
        .join('')
        .split('\n')
        .slice(0, -1)
        .map((line) => (JSON.parse(line) as { id: string }).id),
    ).toEqual(['a', 'b', 'c']);
    await close();
  });

  test('closes although the stream is not read, and logs the loss', async () => {
    const pipe = new Writable({ write: () => undefined });
    const { handler, logged, close } = await openForTest(logTo({ stdout: pipe, stderr: pipe }), { config: {} });
    void handler.write?.([{ ...entry, input: {} }], testCall());
    await close();
    expect(logged).toMatchObject([
      {
        level: 'error',
        message: expect.stringContaining('stdout was closed before its reader had read everything') as string,
        fields: { batches: 1 },
      },
    ]);
  });

  test('on a full disk an entry is written whole or not at all, and follows when there is room', async () => {
    const path = join(folder, 'full.jsonl');
    const module = (at: string): string => JSON.stringify(new URL(at, import.meta.url).href);
    const script = `
      const { loadBuiltIns } = await import(${module('../../src/adapters/loading/built-in.ts')});
      const { openForTest, testCall } = await import(${module('../../src/adapters/testing/index.ts')});
      const { handler, close } = await openForTest((await loadBuiltIns()).get('log-stdout'), { config: {} });
      const entries = (from) => Array.from({ length: 50 }, (_, at) => ({ sink: 'r', id: String(from + at), timeMs: 0, input: { n: from + at, fill: 'x'.repeat(500) } }));
      let failures = 0;
      for (let from = 0; from < 200; from += 50) {
        for (;;) {
          try { await handler.write(entries(from), testCall()); break; } catch (error) {
            if (failures++ === 0) process.stderr.write(error.name + ': ' + error.message + '\\n');
            await new Promise((resolve) => setTimeout(resolve, 50));
          }
        }
      }
      await close();`;
    // The file may grow to 64 KiB; then one write is short and the next fails, as on a full disk.
    const child = spawn(
      'bash',
      ['-c', 'ulimit -S -f 64; exec "$0" "$@" >> "$FILE"', process.execPath, '--input-type=module', '-e', script],
      { stdio: ['ignore', 'ignore', 'pipe'], env: { ...process.env, FILE: path } },
    );
    const ended = new Promise((resolve) => child.once('exit', resolve));
    let said = '';
    child.stderr.on('data', (chunk: Buffer) => {
      said += chunk.toString();
    });
    const rounds: string[] = [];
    while (child.exitCode === null) {
      await Promise.race([
        ended,
        eventually(() => {
          if (!said.includes('Unavailable')) throw new Error('not yet');
        }, 60_000),
      ]);
      if (child.exitCode !== null) break;
      await new Promise((resolve) => setTimeout(resolve, 300));
      rounds.push(readFileSync(path, 'utf8'));
      truncateSync(path, 0);
      await new Promise((resolve) => setTimeout(resolve, 300));
    }
    rounds.push(readFileSync(path, 'utf8'));
    expect(said).toMatch(/^Unavailable: stdout cannot be written: EFBIG/);
    const lines = rounds
      .join('')
      .split('\n')
      .filter((line) => line !== '');
    const whole = lines.flatMap((line) => {
      try {
        return [(JSON.parse(line) as { n: number }).n];
      } catch {
        return [];
      }
    });
    expect(whole).toEqual(Array.from({ length: 200 }, (_, n) => n));
    expect(lines.length - whole.length).toBeLessThan(rounds.length);
  }, 120_000);

  test('a stalled reader delays the writer, not the process, and gets every line', async () => {
    const module = (path: string): string => JSON.stringify(new URL(path, import.meta.url).href);
    const script = `
      const { loadBuiltIns } = await import(${module('../../src/adapters/loading/built-in.ts')});
      const { openForTest, testCall } = await import(${module('../../src/adapters/testing/index.ts')});
      const { handler, close } = await openForTest((await loadBuiltIns()).get('log-stdout'), { config: {} });
      const entry = (n) => ({ sink: 'r', id: String(n), timeMs: 0, input: { n, fill: 'x'.repeat(5000) } });
      let ticks = 0;
      let settled = 0;
      const timer = setInterval(() => { ticks++; }, 10);
      const writes = Array.from({ length: 400 }, (_, n) => handler.write([entry(n)], testCall()).then(() => { settled++; }));
      setTimeout(() => process.stderr.write(settled + ' '), 400);
      await Promise.all(writes);
      clearInterval(timer);
      await close();
      process.stderr.write(settled + ' ' + ticks);`;
    const child = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: ['ignore', 'pipe', 'pipe'] });
    let said = '';
    child.stderr.on('data', (chunk: Buffer) => {
      said += chunk.toString();
    });
    await eventually(() => expect(said).not.toBe(''), 30_000); // unread: 2 MB do not fit in a pipe
    const numbers: number[] = [];
    for await (const line of createInterface({ input: child.stdout }))
      numbers.push((JSON.parse(line) as { n: number }).n);
    expect(numbers).toEqual(Array.from({ length: 400 }, (_, n) => n));
    if (child.exitCode === null) await new Promise((resolve) => child.once('exit', resolve));
    const [early = 400, late, ticks = 0] = said.split(' ').map(Number);
    expect(late).toBe(400);
    expect(early, 'settled before anybody read').toBeLessThan(400);
    expect(ticks, 'its timers stood still').toBeGreaterThan(10);
  });
});
