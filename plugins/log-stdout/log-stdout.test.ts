import { spawn } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, describe, expect, test } from 'vitest';
import { Unavailable } from 'sluice/plugin';
import { openForTest, testAdapter, testCall } from 'sluice/plugin/testing';
import { logTo } from './adapter.ts';
import { openDescriptor } from './descriptor.ts';
import { lineOf } from './line.ts';

const folder = mkdtempSync(join(tmpdir(), 'log-stdout-'));
afterAll(() => rmSync(folder, { recursive: true }));

/** Each handler under test writes to a file of its own; what it has written is what stands there. */
let file = '';
let fd: number | undefined;
let files = 0;
const fresh = () => {
  if (fd !== undefined) closeSync(fd);
  file = join(folder, `${files++}.jsonl`);
  fd = openSync(file, 'a');
  return openDescriptor(fd);
};
let current = fresh();
afterAll(() => { if (fd !== undefined) closeSync(fd); });
const toFile = { append: (text: string) => current.append(text) };

testAdapter(logTo({ stdout: toFile, stderr: toFile }), {
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

  test('a stream that cannot be written is Unavailable', async () => {
    const closed = openSync(join(folder, 'readonly'), 'a+');
    closeSync(closed);
    const readOnly = openSync(join(folder, 'readonly'), 'r');
    const descriptor = openDescriptor(readOnly);
    const { handler } = await openForTest(logTo({ stdout: descriptor, stderr: descriptor }), { config: {} });
    await expect(handler.write?.([{ ...entry, sink: handler.sink?.({ rule: 'r', input: {}, params: undefined }) }], testCall())).rejects.toThrow(Unavailable);
    closeSync(readOnly);
  });

  test('a reader that stands still holds back the writer, not the process, and gets every line', async () => {
    const script = `
      const { openDescriptor } = await import(${JSON.stringify(new URL('./descriptor.ts', import.meta.url).href)});
      const out = openDescriptor(1);
      let ticks = 0;
      const timer = setInterval(() => { ticks++; }, 10);
      const lines = Array.from({ length: 400 }, (_, n) => JSON.stringify({ n, fill: 'x'.repeat(5000) }) + '\\n');
      await Promise.all(lines.map((line) => out.append(line)));
      clearInterval(timer);
      process.stderr.write(String(ticks));`;
    const child = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: ['ignore', 'pipe', 'pipe'] });
    let errors = '';
    child.stderr.on('data', (chunk: Buffer) => { errors += chunk.toString(); });
    await new Promise((resolve) => setTimeout(resolve, 700)); // nobody reads: 2 MB do not fit in a pipe
    const numbers: number[] = [];
    for await (const line of createInterface({ input: child.stdout })) numbers.push((JSON.parse(line) as { n: number }).n);
    expect(numbers).toEqual(Array.from({ length: 400 }, (_, n) => n));
    if (child.exitCode === null) await new Promise((resolve) => child.once('exit', resolve));
    expect(Number(errors), `its timers ran ${errors} times`).toBeGreaterThan(10);
  });
});
