import { spawn } from 'node:child_process';
import {
  appendFileSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { Unavailable } from 'sluice/plugin';
import { eventually, openForTest, testAdapter, testCall } from 'sluice/plugin/testing';
import adapter from './adapter.ts';
import { LogFile } from './log-file.ts';

const root = mkdtempSync(join(tmpdir(), 'log-file-'));
afterAll(() => rmSync(root, { recursive: true }));
const newFolder = (): string => mkdtempSync(join(root, 'f-'));
const linesOf = (file: string): string[] =>
  existsSync(file) ? readFileSync(file, 'utf8').split('\n').slice(0, -1) : [];
const numbersOf = (file: string): number[] => linesOf(file).map((line) => (JSON.parse(line) as { n: number }).n);

let folder = '';
testAdapter(adapter, {
  runner: { describe, test },
  config: () => {
    folder = newFolder();
    return { path: join(folder, 'access.log'), sync: true };
  },
  unreachable: { path: '/no/such/folder/access.log' },
  badConfigs: [
    { config: { path: '' }, says: /path/ },
    { config: { path: 'a', rotate: {} }, says: /expected maxBytes, maxAgeMs or both/ },
    { config: { path: 'a', text: '%START_TIME(%Q)%' }, says: /%Q is not known; known are %Y/ },
  ],
  report: {
    input: (n) => ({ n, path: `/ü/${n}` }),
    read: () =>
      linesOf(join(folder, 'access.log')).map((line) => {
        const { n, path } = JSON.parse(line) as Record<string, unknown>;
        return { n, path };
      }),
    away: {
      begin: async () => renameSync(folder, `${folder}.away`),
      end: async () => renameSync(`${folder}.away`, folder),
    },
  },
});

describe('log-file', () => {
  const open = async (config: object = {}) => {
    const path = join(newFolder(), 'access.log');
    const opened = await openForTest(adapter, { config: { path, ...config } });
    const write = async (...numbers: number[]): Promise<void> =>
      opened.handler.write?.(
        numbers.map((n) => ({ sink: 'r', id: `id-${n}`, timeMs: Date.UTC(2026, 0, 1), input: { n } })),
        testCall(),
      );
    return { ...opened, path, write };
  };

  test('a file that logrotate moves or deletes is created anew by the next batch, and no line is lost', async () => {
    const { path, write, close } = await open();
    await write(1);
    renameSync(path, `${path}.1`);
    await write(2);
    unlinkSync(path);
    await write(3);
    await close();
    expect([numbersOf(`${path}.1`), numbersOf(path)]).toEqual([[1], [3]]);
  });

  test('a file that is truncated in place (copytruncate) goes on at its beginning', async () => {
    const { path, write, close } = await open();
    await write(1, 2);
    writeFileSync(path, '');
    await write(3);
    await close();
    expect(numbersOf(path)).toEqual([3]);
  });

  test('SIGUSR1 creates a moved file at once, and does not end the process after the handler is closed', async () => {
    const module = (at: string): string => JSON.stringify(new URL(at, import.meta.url).href);
    const path = join(newFolder(), 'access.log');
    const script = `
      const { loadBuiltIns } = await import(${module('../../src/adapters/loading/built-in.ts')});
      const { openForTest } = await import(${module('../../src/adapters/testing/index.ts')});
      const { close } = await openForTest((await loadBuiltIns()).get('log-file'), { config: { path: process.env.FILE } });
      process.stdin.once('data', async () => { await close(); console.log('closed'); process.stdin.once('data', () => process.exit(7)); });
      console.log('opened');`;
    const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
      stdio: ['pipe', 'pipe', 'inherit'],
      env: { ...process.env, FILE: path },
    });
    const ended = new Promise((resolve) => child.once('exit', (code, signal) => resolve(code ?? signal)));
    let printed = '';
    child.stdout.on('data', (chunk: Buffer) => {
      printed += chunk.toString();
    });
    await eventually(() => expect(printed).toContain('opened'), 30_000);
    renameSync(path, `${path}.1`);
    child.kill('SIGUSR1');
    await eventually(() => expect(existsSync(path)).toBe(true));
    child.stdin.write('close\n');
    await eventually(() => expect(printed).toContain('closed'));
    child.kill('SIGUSR1');
    child.stdin.write('exit\n');
    expect(await ended).toBe(7);
  }, 60_000);

  test('rotates by size before a batch that would exceed it, and keeps the newest files only', async () => {
    const { path, write, close } = await open({ rotate: { maxBytes: 1024, keepFiles: 2 } });
    writeFileSync(`${path}.backup`, 'not ours');
    for (let n = 0; n < 100; n++) await write(n);
    await close();
    const rotated = readdirSync(join(path, '..'))
      .filter((name) => /^access\.log\.\d{8}T\d{9}Z\.1$/.test(name))
      .toSorted()
      .map((name) => join(path, '..', name));
    expect(rotated).toHaveLength(2);
    expect(existsSync(`${path}.backup`)).toBe(true);
    const kept = [...rotated, path].flatMap(numbersOf);
    expect(kept).toEqual(Array.from({ length: kept.length }, (_, at) => 100 - kept.length + at));
    for (const file of [...rotated, path]) expect(readFileSync(file).length).toBeLessThanOrEqual(1024);
  });

  test('rotates by age, and keeps so many bytes', async () => {
    const { path, write, clock, close } = await open({ rotate: { maxAgeMs: 60_000, keepBytes: 100 } });
    for (let n = 0; n < 4; n++) {
      await write(n);
      clock.advance(60_000);
    }
    await close();
    const rotated = readdirSync(join(path, '..')).filter((name) => name !== 'access.log');
    expect([rotated.map((name) => numbersOf(join(path, '..', name))), numbersOf(path)]).toEqual([[[2]], [3]]);
  });

  test('a torn last line is ended before the first new one', async () => {
    const path = join(newFolder(), 'access.log');
    appendFileSync(path, '{"n":1}\n{"n":');
    const { handler, logged, close } = await openForTest(adapter, { config: { path } });
    await handler.write?.([{ sink: 'r', id: 'a', timeMs: 0, input: { n: 2 } }], testCall());
    await close();
    expect(linesOf(path)).toEqual(['{"n":1}', '{"n":', expect.stringMatching(/"n":2\}$/)]);
    expect(logged).toMatchObject([
      { level: 'warn', message: `${path} ended in the middle of a line; a line end was added` },
    ]);
  });

  test('a full disk is Unavailable with a pause, and the batch follows when there is room', async () => {
    const path = join(newFolder(), 'access.log');
    symlinkSync('/dev/full', path);
    const { handler, readiness, close } = await openForTest(adapter, { config: { path } });
    const write = async (): Promise<unknown> =>
      Promise.resolve(handler.write?.([{ sink: 'r', id: 'a', timeMs: 0, input: { n: 1 } }], testCall())).then(
        () => undefined,
        (error: unknown) => error,
      );
    const error = await write();
    expect(error).toBeInstanceOf(Unavailable);
    expect(error).toMatchObject({
      retryAfterMs: 1000,
      message: expect.stringMatching(/cannot be written: ENOSPC/) as string,
    });
    expect(readiness()).toMatchObject({ ready: false });
    unlinkSync(path);
    expect(await write()).toBeUndefined();
    expect(readiness().ready).toBe(true);
    await close();
    expect(numbersOf(path)).toEqual([1]);
  });

  test('several writers append whole lines to one file and rotate it', async () => {
    const path = join(newFolder(), 'access.log');
    const log = { debug() {}, info() {}, warn() {}, error() {} };
    const writers = [1, 2, 3].map(
      (worker) =>
        new LogFile({
          path,
          worker,
          rotate: { maxBytes: 1000, keepFiles: 1000 },
          sync: false,
          nowMs: () => Date.now(),
          log,
        }),
    );
    await Promise.all(
      writers.map(async (writer, at) => {
        for (let n = 0; n < 50; n++) {
          const lines = Array.from({ length: 10 }, (_, line) => `{"n":${at * 1000 + n * 10 + line}}\n`).join('');
          expect(await writer.append(Buffer.from(lines))).toEqual({ bytes: lines.length });
        }
        await writer.close();
      }),
    );
    const found = readdirSync(join(path, '..')).flatMap((name) => numbersOf(join(path, '..', name)));
    expect(found.toSorted((a, b) => a - b)).toEqual(
      [0, 1, 2].flatMap((writer) => Array.from({ length: 500 }, (_, n) => writer * 1000 + n)),
    );
  });
});
