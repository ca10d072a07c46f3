/** Log lines while the reader stalls, while the disk is full, and afterwards. */
import { spawnSync } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test, vi } from 'vitest';
import { fileTarget, LogOutput, type TextTarget } from '../../../src/log/log-output.ts';
import { RepeatLimit } from '../../../src/log/repeat-limit.ts';

afterEach(() => {
  vi.useRealTimers();
});

/** A reader that takes texts one by one, when told to. */
function slowReader(): {
  readonly target: TextTarget;
  readonly taken: string[];
  readonly take: (error?: Error) => void;
} {
  const taken: string[] = [];
  const open: { readonly text: string; readonly done: (error?: Error) => void }[] = [];
  return {
    taken,
    target: {
      write: (text, done) => {
        open.push({ text, done });
      },
      writeLast: (text) => {
        taken.push(`last: ${text}`);
      },
    },
    take(error) {
      const next = open.shift();
      if (next === undefined) throw new Error('nothing is being written');
      if (error === undefined) taken.push(next.text);
      next.done(error);
    },
  };
}

test('while the reader stalls, lines are buffered up to the bound; further ones are dropped, and their number is reported once it has caught up', () => {
  const { target, taken, take } = slowReader();
  const output = new LogOutput(target, 40);
  const told: number[] = [];
  output.onRecovered = (dropped) => {
    told.push(dropped);
  };
  for (let nth = 0; nth < 10; nth++) output.write(`line ${nth}..\n`); // 9 bytes each
  take();
  expect([taken, told]).toEqual([['line 0..\n'], []]);
  take();
  expect([taken, told]).toEqual([['line 0..\n', 'line 1..\nline 2..\nline 3..\n'], [6]]);
  output.write('after\n');
  take();
  expect([taken.at(-1), told]).toEqual(['after\n', [6]]);
});

test('lines that cannot be written are counted as dropped, and reported after the next that can', () => {
  const { target, taken, take } = slowReader();
  const output = new LogOutput(target);
  const told: number[] = [];
  output.onRecovered = (dropped) => {
    told.push(dropped);
  };
  output.write('a\n');
  take(new Error('ENOSPC'));
  output.write('b\n');
  take();
  expect([taken, told]).toEqual([['b\n'], [1]]);
});

test('flushing ends when the buffer is empty, or at its time limit where nobody reads', async () => {
  const { target, take } = slowReader();
  const output = new LogOutput(target);
  expect(await output.flushed(1)).toBe(true);
  output.write('a\n');
  expect(await output.flushed(20)).toBe(false);
  const flushed = output.flushed(10_000);
  take();
  expect(await flushed).toBe(true);
});

test('when the process exits, buffered lines are written synchronously', () => {
  const { target, taken } = slowReader();
  const output = new LogOutput(target);
  for (const line of ['a\n', 'b\n', 'c\n']) output.write(line);
  output.exit();
  expect(taken).toEqual(['last: b\nc\n']);
});

test('a file gets every line, whole and in order', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-log-'));
  const file = join(folder, 'log');
  const fd = openSync(file, 'a');
  const output = new LogOutput(fileTarget(fd));
  const lines = Array.from({ length: 5000 }, (_, nth) => `line ${nth}\n`);
  for (const line of lines) output.write(line);
  expect(await output.flushed(10_000)).toBe(true);
  expect(readFileSync(file, 'utf8')).toBe(lines.join(''));
  closeSync(fd);
  rmSync(folder, { recursive: true });
});

test('equal lines are rate-limited: further ones are counted, and the count is reported at the end of the period', () => {
  vi.useFakeTimers();
  const told: [string, number][] = [];
  const limit = new RepeatLimit({
    most: 3,
    periodMs: 1000,
    onRepeats: (key, repeats) => told.push([key, repeats]),
    onOthers: () => undefined,
  });
  expect(Array.from({ length: 5 }, () => limit.admits('a'))).toEqual([true, true, true, false, false]);
  expect(limit.admits('b')).toBe(true);
  vi.advanceTimersByTime(1000);
  expect(told).toEqual([['a', 2]]);
  expect(limit.admits('a')).toBe(true);
});

test('lines that are counted and not said yet are said when the log ends', () => {
  vi.useFakeTimers();
  const told: [string, number, number][] = [];
  const limit = new RepeatLimit({ most: 3, onRepeats: (...said) => told.push(said), onOthers: () => undefined });
  for (let line = 0; line < 5000; line++) limit.admits('a');
  limit.admits('b');
  vi.advanceTimersByTime(1500);
  limit.end();
  expect(told).toEqual([['a', 4997, 2000]]);
  vi.advanceTimersByTime(20_000);
  expect(told).toHaveLength(1);
});

test('a process that logs 5000 equal lines and ends at once says how many were left out', () => {
  const src = new URL('../../../src/log/', import.meta.url).href;
  const program = `
    import { makeLog } from '${src}log.ts';
    import { logFlushed } from '${src}log-output.ts';
    const log = makeLog('json', 'info');
    for (let line = 0; line < 5000; line++) log.warn('the same');
    await logFlushed(5000);`;
  const { stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', program], { encoding: 'utf8' });
  const lines = stderr
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as object);
  expect(lines).toHaveLength(21);
  expect(lines.at(-1)).toMatchObject({ msg: 'the same', repeats: 4980 });
});
