import { spawn } from 'node:child_process';
import { createWriteStream, mkdtempSync, readFileSync, rmSync, type WriteStream } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, describe, expect, test } from 'vitest';
import { Unavailable } from 'sluice/plugin';
import { openForTest, testAdapter, testCall } from 'sluice/plugin/testing';
import { logTo } from './adapter.ts';
import { lineOf } from './line.ts';

const folder = mkdtempSync(join(tmpdir(), 'log-stdout-'));
afterAll(() => rmSync(folder, { recursive: true }));

/** Each handler under test writes to a file of its own; what it has written is what stands there. */
let file = '';
const opened: WriteStream[] = [];
const fresh = (): WriteStream => {
  file = join(folder, `${opened.length}.jsonl`);
  const stream = createWriteStream(file);
  opened.push(stream);
  return stream;
};
let current = fresh();
afterAll(() => { for (const stream of opened) stream.destroy(); });
const toFile = { get stdout() { return current; }, get stderr() { return current; } };

testAdapter(logTo(toFile), {
  runner: { describe, test },
  config: () => {
    current = fresh();
    return { stream: 'stderr' };
  },
  badConfigs: [{ config: { stream: 'stdin' }, says: /stream/ }],
  report: {
    input: (n) => ({ n, path: `/a/${n}`, big: 'ü'.repeat(1000) }),
    read: () => readFileSync(file, 'utf8').split('\n').slice(0, -1).map((line) => {
      const { n, path, big } = JSON.parse(line) as Record<string, unknown>;
      return { n, path, big };
    }),
  },
});

describe('log-stdout', () => {
  const entry = { sink: 'slow', id: 'id-1', timeMs: Date.UTC(2026, 0, 1), input: {} };

  test('a line says when, which rule, and the fields in their order', () => {
    const input = { zebra: 1, apple: 'a', at: new Date(Date.UTC(2026, 0, 2)), none: null, took: '1.5s', raw: new Uint8Array([1, 2]), odd: Number.NaN, of: { b: [1], a: true } };
    expect(lineOf({ ...entry, input })).toBe(
      '{"time":"2026-01-01T00:00:00.000Z","rule":"slow","id":"id-1","zebra":1,"apple":"a","at":"2026-01-02T00:00:00.000Z","none":null,"took":"1.5s","raw":"AQI=","odd":"NaN","of":{"b":[1],"a":true}}\n');
  });

  test('a value with line ends stays on its line', () => {
    expect(lineOf({ ...entry, input: { a: 'x\ny\u2028' } }).split('\n')).toHaveLength(2);
  });

  test('a reader that is gone is Unavailable, and ends nothing', async () => {
    const reader = spawn(process.execPath, ['-e', ''], { stdio: ['pipe', 'ignore', 'ignore'] });
    await new Promise((resolve) => reader.once('exit', resolve));
    const { handler, readiness, close } = await openForTest(logTo({ stdout: reader.stdin, stderr: reader.stdin }), { config: {} });
    const write = async (): Promise<void> => handler.write?.([{ ...entry, input: { fill: 'x'.repeat(100_000) } }], testCall());
    await expect(write()).rejects.toThrow(Unavailable);
    await expect(write()).rejects.toThrow('stdout cannot be written');
    expect(readiness().ready).toBe(false);
    await close();
  });

  test('a reader that stands still holds back the writer, not the process, and gets every line', async () => {
    const module = (path: string): string => JSON.stringify(new URL(path, import.meta.url).href);
    const script = `
      const { loadBuiltIns } = await import(${module('../../src/adapters/built-in.ts')});
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
    child.stderr.on('data', (chunk: Buffer) => { said += chunk.toString(); });
    await new Promise((resolve) => setTimeout(resolve, 1500)); // nobody reads: 2 MB do not fit in a pipe
    const numbers: number[] = [];
    for await (const line of createInterface({ input: child.stdout })) numbers.push((JSON.parse(line) as { n: number }).n);
    expect(numbers).toEqual(Array.from({ length: 400 }, (_, n) => n));
    if (child.exitCode === null) await new Promise((resolve) => child.once('exit', resolve));
    const [early = 400, late, ticks = 0] = said.split(' ').map(Number);
    expect(late).toBe(400);
    expect(early, 'settled before anybody read').toBeLessThan(400);
    expect(ticks, 'its timers stood still').toBeGreaterThan(10);
  });
});
