/** Records survive crashes, damage and full disks: each is read again, in order, until it is acknowledged. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { open } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { Worker } from 'node:worker_threads';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import fc from 'fast-check';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { SILENT_MS } from '../../../src/spool/lock.ts';
import { openSpool, type Spool, type SpoolOptions, type SpoolRecord } from '../../../src/spool/index.ts';
import { eventually } from '../../../src/adapters/testing/index.ts';
import { smallDisk } from '../../parts/small-disk.ts';

const SILENT = { info() {}, warn() {}, error() {} };

function scratch(): string {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-spool-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true, maxRetries: 10 }));
  return folder;
}

const optionsOf = (folder: string, more: Partial<SpoolOptions> = {}): SpoolOptions => ({
  folder,
  maxBytes: 64 * 1024 * 1024,
  maxAgeMs: undefined,
  segmentBytes: 1024 * 1024,
  syncEveryMs: 5,
  windowBytes: 1024 * 1024,
  whenFull: 'block',
  log: SILENT,
  nowMs: () => Date.now(),
  ...more,
});

async function opened(folder: string, more: Partial<SpoolOptions> = {}): Promise<Spool<string>> {
  const spool = await openSpool<string>(optionsOf(folder, more));
  onTestFinished(() => spool.close(1000));
  return spool;
}

/** The log lines about dropped records. */
function droppedLines() {
  const dropped: { readonly tooOld?: number; readonly toMakeRoom?: number }[] = [];
  const warn = (message: string, fields: object = {}): void => {
    if (message === 'records of a spool were dropped') dropped.push(fields);
  };
  return { log: { ...SILENT, warn }, dropped };
}

const record = (text: string): SpoolRecord<string> => ({ bytes: Buffer.from(text), value: text });
const numbered = (from: number, to: number, tail = ''): SpoolRecord<string>[] =>
  Array.from({ length: to - from }, (_, at) => record(`${from + at}${tail}`));

/** Takes and acknowledges all that waits. */
async function drained(spool: Spool<string>, acknowledge = true): Promise<string[]> {
  const texts: string[] = [];
  for (let taken = await spool.take(100, 1e6); taken !== undefined; taken = await spool.take(100, 1e6)) {
    for (const { bytes, value } of taken.records) {
      const text = Buffer.from(bytes).toString();
      if (value !== undefined) expect(value).toBe(text);
      texts.push(text);
    }
    if (acknowledge) spool.acknowledge(taken.through);
  }
  return texts;
}
const numbersOf = (texts: readonly string[]): number[] => texts.map((text) => Number.parseInt(text, 10));
const range = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, at) => from + at);
/** Each place where the next number is missing: what stands there instead, and what was expected. */
const gapsOf = (numbers: readonly number[], from: number): string[] =>
  numbers.flatMap((number, at) => (number === from + at ? [] : [`${number} instead of ${from + at}`])).slice(0, 5);
const segmentsOf = (folder: string): string[] =>
  readdirSync(folder)
    .filter((name) => name.endsWith('.spool'))
    .toSorted()
    .map((name) => join(folder, name));

describe('a spool', () => {
  test('gives records in the order of their appending, from memory', async () => {
    const spool = await opened(scratch());
    await Promise.all([spool.append(numbered(0, 10)), spool.append(numbered(10, 500))]);
    expect(numbersOf(await drained(spool))).toEqual(range(0, 500));
    expect(spool.state).toMatchObject({ waiting: 0, appended: 500, acknowledged: 500, oldestAtMs: undefined });
    expect(await spool.take(1, 1)).toBeUndefined();
  });

  test('gives records again that were not acknowledged when it is opened again, and no others', async () => {
    const folder = scratch();
    const first = await openSpool<string>(optionsOf(folder));
    await first.append(numbered(0, 1000));
    const taken = await first.take(300, 1e6);
    first.acknowledge(taken?.through ?? 0);
    await first.take(200, 1e6);
    await first.close(1000);
    const again = await opened(folder);
    expect(again.state.waiting).toBe(700);
    expect(numbersOf(await drained(again))).toEqual(range(300, 1000));
    await again.append(numbered(1000, 1010));
    expect(numbersOf(await drained(again))).toEqual(range(1000, 1010));
  });

  test('reads from the disk what the window does not hold, and from memory again once it has caught up', async () => {
    const folder = scratch();
    const spool = await opened(folder, { windowBytes: 2000, segmentBytes: 64 * 1024 });
    const texts: number[] = [];
    for (let at = 0; at < 200; at++) {
      await spool.append(numbered(at * 20, at * 20 + 20, '-'.repeat(100)));
      if (at % 3 === 0) {
        const taken = await spool.take(30, 1e6);
        texts.push(...numbersOf((taken?.records ?? []).map(({ bytes }) => Buffer.from(bytes).toString())));
        spool.acknowledge(taken?.through ?? 0);
      }
    }
    expect(segmentsOf(folder).length).toBeGreaterThan(3);
    texts.push(...numbersOf(await drained(spool)));
    expect(texts).toEqual(range(0, 4000));
    await spool.append([record('4000')]);
    expect((await spool.take(1, 100))?.records[0]?.value).toBe('4000');
    await eventually(() => expect(segmentsOf(folder).length).toBe(1));
  });

  test('gives what was taken again after a rewind', async () => {
    const spool = await opened(scratch());
    await spool.append(numbered(0, 100));
    spool.acknowledge((await spool.take(10, 1e6))?.through ?? 0);
    await spool.take(50, 1e6);
    spool.rewind();
    expect(numbersOf(await drained(spool))).toEqual(range(10, 100));
  });

  test('takes batches of bounded size, and a large record alone', async () => {
    const spool = await opened(scratch(), { windowBytes: 100 });
    await spool.append([record('a'.repeat(3_000_000)), record('b'), record('c'.repeat(60)), record('d'.repeat(60))]);
    const sizes: number[][] = [];
    for (let taken = await spool.take(10, 100); taken !== undefined; taken = await spool.take(10, 100))
      sizes.push(taken.records.map(({ bytes }) => bytes.length));
    expect(sizes).toEqual([[3_000_000], [1, 60], [60]]);
    await expect(spool.append([{ bytes: Buffer.alloc(9 * 1024 * 1024), value: undefined }])).rejects.toThrow(/at most/);
  });

  test('holds back when it is full, and has room again once records are acknowledged', async () => {
    const spool = await opened(scratch(), { maxBytes: 1024 * 1024 });
    let stopped: Promise<void> | undefined;
    let count = 0;
    while (stopped === undefined) {
      await spool.append(numbered(count, (count += 100), '-'.repeat(1000)));
      stopped = spool.room();
    }
    expect(spool.state.bytesOnDisk).toBeGreaterThanOrEqual(1024 * 1024);
    expect(spool.state.bytesOnDisk).toBeLessThan(1.3 * 1024 * 1024);
    let hasRoom = false;
    void stopped.then(() => {
      hasRoom = true;
    });
    expect(numbersOf(await drained(spool))).toEqual(range(0, count));
    await eventually(() => expect(hasRoom).toBe(true));
    expect(spool.room()).toBeUndefined();
    expect(spool.state.stoppedMs).toBeGreaterThan(0);
  });

  test('has room again when all is acknowledged, even if one segment fills it', async () => {
    const spool = await opened(scratch(), { maxBytes: 1000 });
    await spool.append([record('a'.repeat(2000))]);
    expect(spool.room()).toBeDefined();
    await drained(spool);
    await eventually(() => expect(spool.room()).toBeUndefined());
  });

  test('drops the oldest, whole segments and counted, if it is told to', async () => {
    const { log, dropped } = droppedLines();
    const spool = await opened(scratch(), { maxBytes: 1024 * 1024, whenFull: 'drop-oldest', log });
    for (let at = 0; at < 40; at++) await spool.append(numbered(at * 100, at * 100 + 100, '-'.repeat(1000)));
    expect(spool.room()).toBeUndefined();
    await eventually(() => expect(spool.state.bytesOnDisk).toBeLessThan(1.2 * 1024 * 1024));
    const left = numbersOf(await drained(spool));
    const { droppedWhenFull } = spool.state;
    expect(droppedWhenFull).toBeGreaterThan(2000);
    expect(left.slice(-500)).toEqual(range(3500, 4000));
    expect(left.length + droppedWhenFull).toBe(4000);
    expect(dropped.length).toBe(1); // once a minute
    await spool.close(1000);
    expect(dropped.reduce((sum, { toMakeRoom = 0 }) => sum + toMakeRoom, 0)).toBe(droppedWhenFull);
  });

  test('drops what is too old, counted; a step of the wall clock drops nothing', async () => {
    const folder = scratch();
    const { log, dropped } = droppedLines();
    let nowMs = 1e12;
    let monotonicMs = 5;
    const spool = await opened(folder, {
      maxAgeMs: 60_000,
      nowMs: () => nowMs,
      monotonicMs: () => monotonicMs,
      windowBytes: 0,
      log,
    });
    const pass = (ms: number): void => {
      nowMs += ms;
      monotonicMs += ms;
    };
    await spool.append(numbered(0, 10));
    pass(50_000);
    await spool.append(numbered(10, 20));
    pass(20_000);
    spool.rewind();
    expect(numbersOf(await drained(spool))).toEqual(range(10, 20));
    expect(spool.state.droppedByAge).toBe(10);
    nowMs -= 1e9;
    await spool.append(numbered(20, 30));
    spool.rewind();
    expect(numbersOf(await drained(spool))).toEqual(range(20, 30));
    await spool.append(numbered(30, 40));
    nowMs += 1e11;
    spool.rewind();
    expect(numbersOf(await drained(spool))).toEqual(range(30, 40));
    expect(spool.state.droppedByAge).toBe(10);
    await spool.close(1000);
    expect(dropped).toMatchObject([{ tooOld: 10, maxAgeMs: 60_000 }]);
  });

  test('opens with more on disk than it may hold, and gives all of it', async () => {
    const folder = scratch();
    const first = await openSpool<string>(optionsOf(folder));
    await first.append(numbered(0, 3000, '-'.repeat(1000)));
    await first.close(1000);
    const again = await opened(folder, { maxBytes: 100_000 });
    expect(again.room()).toBeDefined();
    expect(numbersOf(await drained(again))).toEqual(range(0, 3000));
    await eventually(() => expect(again.room()).toBeUndefined());
  });

  test('is refused while another process writes it, and taken over once that has crashed', async () => {
    const folder = scratch();
    const child = writer(folder);
    await child.acknowledged(1);
    await expect(openSpool(optionsOf(folder))).rejects.toThrow(
      new RegExp(`in use by the process ${child.pid}; give each server a folder of its own`),
    );
    await child.kill();
    const spool = await opened(folder);
    expect(spool.state.waiting).toBeGreaterThan(0);
  });

  test('is refused while another thread of this process writes it, and taken over at once when that has ended', async () => {
    const folder = scratch();
    const thread = new Worker(writing(folder, '{}', 0), { eval: true, stdout: true });
    await once(thread.stdout, 'data');
    const openedHere = () => openSpool<string>(optionsOf(folder));
    await expect(openedHere()).rejects.toThrow(`in use by the process ${process.pid}`);
    await thread.terminate();
    const beganAtMs = performance.now();
    const spool = await opened(folder);
    expect(performance.now() - beganAtMs).toBeLessThan(SILENT_MS);
    const waiting = numbersOf(await drained(spool));
    expect(waiting.length).toBeGreaterThan(0);
    expect(gapsOf(waiting, 0)).toEqual([]);
    await expect(openedHere()).rejects.toThrow('in use by');
  });
});

/** A program that appends numbers from `from` on in batches of 50 as fast as it can, and prints the last one of each that is written. */
const writing = (folder: string, options: string, from: number): string => `
    import { openSpool } from ${JSON.stringify(join(import.meta.dirname, '../../../src/spool/index.ts'))};
    const log = { info() {}, warn() {}, error() {} };
    const spool = await openSpool({ folder: ${JSON.stringify(folder)}, maxBytes: 1e9, maxAgeMs: undefined, segmentBytes: 100_000,
      syncEveryMs: 20, windowBytes: 10_000, whenFull: 'block', log, nowMs: () => Date.now(), ...${options} });
    let next = ${from};
    for (;;) {
      const bytes = Array.from({ length: 50 }, () => ({ bytes: Buffer.from(String(next++) + '-'.repeat(200)), value: undefined }));
      await spool.append(bytes);
      process.stdout.write(next - 1 + '\\n');
    }`;

/** A process that runs it. */
function writer(folder: string, options = '{}') {
  const start = (from: number) => {
    const child = spawn(process.execPath, ['--input-type=module-typescript', '-e', writing(folder, options, from)], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let last = -1;
    createInterface({ input: child.stdout }).on('line', (line) => {
      last = Number(line);
    });
    return { child, last: () => last };
  };
  let running = start(0);
  onTestFinished(() => void running.child.kill('SIGKILL'));
  return {
    get pid() {
      return running.child.pid;
    },
    acknowledged: (least: number) => eventually(() => expect(running.last()).toBeGreaterThanOrEqual(least)),
    async kill(): Promise<number> {
      const exited = once(running.child, 'close');
      running.child.kill('SIGKILL');
      await exited;
      return running.last();
    },
    restart(from: number): void {
      running = start(from);
    },
  };
}

test('a process killed at any moment loses nothing that was written, and the order stays', async () => {
  const folder = scratch();
  const child = writer(folder);
  let found: number[] = [];
  let next = 0;
  for (let round = 0; round < 5; round++) {
    await child.acknowledged(next + 2000 + round * 731);
    const acknowledged = await child.kill();
    const spool = await openSpool<string>(optionsOf(folder));
    const numbers = numbersOf(await drained(spool));
    await spool.close(1000);
    expect(gapsOf(numbers, next)).toEqual([]);
    next += numbers.length;
    expect(next).toBeGreaterThan(acknowledged);
    found = found.concat(numbers);
    if (round < 4) child.restart(next);
  }
  expect(found).toEqual(range(0, next));
}, 60_000);

describe('damage', () => {
  /** A closed spool of frames of five records each. */
  async function filled(frames: number, tail = ''): Promise<string> {
    const folder = scratch();
    const spool = await openSpool<string>(optionsOf(folder, { syncEveryMs: Infinity }));
    for (let at = 0; at < frames; at++) await spool.append(numbered(at * 5, at * 5 + 5, tail));
    await spool.close(1000);
    return folder;
  }
  const copyOf = (folder: string): { copy: string; file: string } => {
    const copy = mkdtempSync(join(tmpdir(), 'sluice-spool-'));
    cpSync(folder, copy, { recursive: true });
    return { copy, file: segmentsOf(copy)[0] ?? '' };
  };
  async function readAll(folder: string): Promise<{ numbers: number[]; cutTails: number; damaged: number }> {
    const spool = await openSpool<string>(optionsOf(folder));
    try {
      const numbers = numbersOf(await drained(spool));
      await spool.append([record('999')]);
      expect(numbersOf(await drained(spool))).toEqual([999]);
      return { numbers, cutTails: spool.state.cutTails, damaged: spool.state.damaged };
    } finally {
      await spool.close(1000);
      rmSync(folder, { recursive: true });
    }
  }

  test('a file cut at any octet of its last frame loses that frame alone', async () => {
    const folder = await filled(4);
    const size = readFileSync(segmentsOf(folder)[0] ?? '').length;
    const frameBytes = (size - 32) / 4 - 3; // numbers of two digits are longer
    for (let cut = 1; cut < frameBytes; cut += 1) {
      const { copy, file } = copyOf(folder);
      truncateSync(file, size - cut);
      expect(await readAll(copy)).toMatchObject({ numbers: range(0, 15), cutTails: 1, damaged: 0 });
    }
  }, 120_000);

  test('what is read again, since a batch is retried, is counted and logged once', async () => {
    const folder = await filled(4);
    const file = segmentsOf(folder)[0] ?? '';
    const size = readFileSync(file).length;
    const bytes = readFileSync(file);
    bytes[40] = (bytes[40] ?? 0) ^ 0x41;
    writeFileSync(file, bytes.subarray(0, size - 3));
    const lines: string[] = [];
    const log = { ...SILENT, warn: (message: string) => void lines.push(message) };
    const spool = await openSpool<string>(optionsOf(folder, { windowBytes: 0, log }));
    onTestFinished(() => spool.close(1000));
    for (let times = 0; times < 3; times++) {
      expect(numbersOf(await drained(spool, false))).toEqual(range(5, 15));
      spool.rewind();
    }
    expect(lines).toEqual(Array.from({ length: 2 }, () => 'damaged octets in a spool are stepped over'));
    expect([spool.state.damaged, spool.state.cutTails]).toEqual([1, 1]);
  });

  test('any changed octet costs its frame at most, and what follows is read', async () => {
    const folder = await filled(3);
    const bytes = readFileSync(segmentsOf(folder)[0] ?? '');
    for (let at = 0; at < bytes.length; at++) {
      const { copy, file } = copyOf(folder);
      const changed = Buffer.from(bytes);
      changed[at] = (changed[at] ?? 0) ^ 0x41;
      writeFileSync(file, changed);
      const { numbers } = await readAll(copy);
      const frame = at < 32 ? undefined : Math.min(2, Math.floor((at - 32) / ((bytes.length - 32) / 3)));
      const lost = range(0, 15).filter((number) => !numbers.includes(number));
      expect(numbers.length % 5).toBe(0);
      expect(lost.length).toBe(frame === undefined ? 0 : 5);
      expect(numbers).toEqual(numbers.toSorted((a, b) => a - b));
    }
  }, 120_000);

  test('zeroed or exchanged pages cost their frames alone', async () => {
    const folder = await filled(60, '-'.repeat(1000));
    const bytes = readFileSync(segmentsOf(folder)[0] ?? '');
    await fc.assert(
      fc.asyncProperty(
        fc.nat(bytes.length - 9000),
        fc.nat(bytes.length - 9000),
        fc.boolean(),
        async (one, other, zero) => {
          const { copy, file } = copyOf(folder);
          const changed = Buffer.from(bytes);
          if (zero) changed.fill(0, one, one + 4096);
          else {
            changed.set(bytes.subarray(other, other + 4096), one);
            changed.set(bytes.subarray(one, one + 4096), other);
          }
          writeFileSync(file, changed);
          const { numbers } = await readAll(copy);
          expect(numbers.length).toBeGreaterThanOrEqual(300 - 4 * 5);
          expect(numbers).toEqual(numbers.toSorted((a, b) => a - b));
        },
      ),
      { numRuns: 30 },
    );
  }, 120_000);

  test('any files at all are read to their end', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(
          fc.oneof(
            fc.uint8Array({ maxLength: 200 }),
            fc.constant(Buffer.from('SlF1')),
            fc.constant(Buffer.alloc(40, 1)),
          ),
          {
            maxLength: 40,
          },
        ),
        fc.uint8Array({ maxLength: 80 }),
        async (parts, cursor) => {
          const folder = mkdtempSync(join(tmpdir(), 'sluice-spool-'));
          writeFileSync(join(folder, '0000000007.spool'), Buffer.concat(parts));
          writeFileSync(join(folder, '0000000009.spool'), Buffer.concat(parts.toReversed()));
          writeFileSync(join(folder, 'cursor'), cursor);
          writeFileSync(join(folder, 'lock'), Buffer.concat([cursor, Buffer.from('}')])); // an empty one may live
          expect((await readAll(folder)).numbers).toEqual([]);
        },
      ),
      { numRuns: 50 },
    );
  }, 60_000);

  test('a missing segment is passed over', async () => {
    const folder = scratch();
    const spool = await openSpool<string>(optionsOf(folder, { segmentBytes: 65_536 }));
    for (let at = 0; at < 10; at++) await spool.append(numbered(at * 50, at * 50 + 50, '-'.repeat(1000)));
    await spool.close(1000);
    const segments = segmentsOf(folder);
    expect(segments.length).toBeGreaterThan(4);
    rmSync(segments[2] ?? '');
    const again = await opened(folder);
    const numbers = numbersOf(await drained(again));
    expect(numbers.length).toBeGreaterThan(300);
    expect(numbers.at(-1)).toBe(499);
    expect(again.state.waiting).toBe(0);
  });
});

test('a newest segment without a head, as a power cut leaves it, does not cost the one before it', async () => {
  for (const rest of [Buffer.alloc(0), Buffer.alloc(4096)]) {
    const folder = scratch();
    const spool = await openSpool<string>(optionsOf(folder));
    await spool.append(numbered(0, 10));
    await spool.close(1000);
    writeFileSync(join(folder, '0000000002.spool'), rest);
    const again = await opened(folder);
    expect(again.state.waiting).toBe(10);
    expect(numbersOf(await drained(again))).toEqual(range(0, 10));
  }
});

test('side files that are unusable are put aside, and nothing is lost', async () => {
  const folder = scratch();
  const spool = await openSpool<string>(optionsOf(folder));
  await spool.append(numbered(0, 10));
  await spool.close(1000);
  rmSync(join(folder, 'cursor'));
  for (const name of ['cursor', 'lock', '0000000007.spool'])
    mkdirSync(join(folder, name, 'in it'), { recursive: true });
  writeFileSync(join(folder, 'bad'), 'a file');
  const again = await opened(folder);
  expect(numbersOf(await drained(again))).toEqual(range(0, 10));
  await again.close(1000);
  expect((await opened(folder)).state).toMatchObject({ waiting: 0, segments: 0, acknowledged: 10 });
});

test.for([
  ['of many segments', 64 * 1024],
  ['of one segment', 16 * 1024 * 1024],
] as const)(
  'a full disk %s holds back, also its cursor, and goes on when records are acknowledged',
  async ([, segmentBytes]) => {
    const disk = scratch();
    onTestFinished((await smallDisk(disk, '2m')).unmount);
    const folder = join(disk, 'log');
    const spool = await opened(folder, { segmentBytes, maxBytes: 1e9, windowBytes: 0 });
    let written = 0;
    let appending = Promise.resolve();
    for (let at = 0; spool.room() === undefined; at += 50) {
      appending = spool.append(numbered(at, at + 50, '-'.repeat(500))).then(() => {
        written = at + 50;
      });
      await Promise.race([appending, eventually(() => expect(spool.state.diskError).toBeDefined())]);
    }
    expect(spool.state.diskError).toContain('ENOSPC');
    expect(written).toBeGreaterThan(2000);
    const numbers = numbersOf(await drained(spool));
    await appending;
    await eventually(() => expect(spool.room()).toBeUndefined());
    expect(numbers.concat(numbersOf(await drained(spool)))).toEqual(range(0, written));
  },
);

test('the memory is bounded while a write hangs, and closing ends nevertheless', async () => {
  const folder = scratch();
  const spool = await openSpool<string>(optionsOf(folder));
  await spool.append([record('0')]);
  const handle = await open('/dev/null', 'r');
  const prototype = Object.getPrototypeOf(handle) as Record<'write', (...args: unknown[]) => Promise<unknown>>;
  await handle.close();
  const { write } = prototype;
  const hang = Promise.withResolvers<void>();
  const hanging = vi.spyOn(prototype, 'write').mockImplementation(async function (this: unknown, ...args) {
    await hang.promise;
    return write.apply(this, args);
  });
  onTestFinished(() => hanging.mockRestore());
  const megabyte = '-'.repeat(1e6);
  let appended = 0;
  for (; spool.room() === undefined; appended++) spool.append([record(megabyte)]).catch(() => undefined);
  expect(appended).toBe(34);
  const beganAtMs = performance.now();
  await spool.close(200);
  expect(performance.now() - beganAtMs).toBeLessThan(5000);
  hang.resolve();
  await eventually(() => expect(readdirSync(folder)).not.toContain('lock'));
}, 20_000);

describe('a disk that fails', () => {
  /** Fails the calls of `method` on files of segments while it says so. */
  async function failing(method: 'datasync' | 'write', fails: () => NodeJS.ErrnoException | undefined): Promise<void> {
    const handle = await open('/dev/null', 'r');
    const prototype = Object.getPrototypeOf(handle) as Record<string, (...args: unknown[]) => Promise<unknown>>;
    await handle.close();
    const original = prototype[method] as (...args: unknown[]) => Promise<unknown>;
    const spy = vi.spyOn(prototype, method).mockImplementation(async function (this: unknown, ...args) {
      const error = fails();
      if (error !== undefined) throw error;
      return original.apply(this, args);
    });
    onTestFinished(() => spy.mockRestore());
  }
  const errorOf = (code: string): NodeJS.ErrnoException => Object.assign(new Error(`${code}: injected`), { code });

  test.each(['ENOSPC', 'EIO'])('with %s holds back, says so, and loses nothing once it works again', async (code) => {
    const lines: string[] = [];
    const log = {
      ...SILENT,
      error: (line: string) => void lines.push(line),
      info: (line: string) => void lines.push(line),
    };
    const folder = scratch();
    const spool = await opened(folder, { log });
    await spool.append(numbered(0, 10));
    let isFailing = true;
    await failing('write', () => (isFailing ? errorOf(code) : undefined));
    let isWritten = false;
    const later = spool.append(numbered(10, 20)).then(() => {
      isWritten = true;
    });
    await eventually(() => expect(spool.state.diskError).toContain(code));
    expect(spool.room()).toBeDefined();
    expect(isWritten).toBe(false);
    isFailing = false;
    await later;
    expect(spool.room()).toBeUndefined();
    expect(numbersOf(await drained(spool, false))).toEqual(range(0, 20));
    expect(lines).toEqual([
      'a spool cannot be written; reports wait until the disk accepts them',
      'a spool can be written again',
    ]);
    await spool.close(1000);
    expect(numbersOf(await drained(await opened(folder)))).toEqual(range(0, 20));
  });

  test('whose fdatasync fails gets what was not synced again, in a new segment', async () => {
    const folder = scratch();
    const spool = await opened(folder, { syncEveryMs: 0 });
    await spool.append(numbered(0, 10));
    let failures = 2;
    await failing('datasync', () => (failures-- > 0 ? errorOf('EIO') : undefined));
    await spool.append(numbered(10, 20));
    await spool.append(numbered(20, 30));
    expect(segmentsOf(folder).length).toBeGreaterThanOrEqual(2);
    expect(spool.state).toMatchObject({ synced: 30, diskError: undefined });
    expect(numbersOf(await drained(spool, false))).toEqual(range(0, 30));
    await spool.close(1000);
    expect(numbersOf(await drained(await opened(folder)))).toEqual(range(0, 30));
  });

  test('while another sync runs, sealing a segment waits for a sync of its last frames', async () => {
    const folder = scratch();
    const spool = await opened(folder, { segmentBytes: 64 * 1024, syncEveryMs: 1 });
    let synced = 0;
    await failing('datasync', () => {
      synced++;
      return undefined;
    });
    for (let at = 0; at < 100; at++) await spool.append(numbered(at * 10, at * 10 + 10, '-'.repeat(1000)));
    expect(synced).toBeGreaterThan(10);
    expect(spool.state.appended - spool.state.synced).toBeLessThan(100);
  });

  test('at one place of a segment costs the frames there, not the rest of the segment', async () => {
    const folder = scratch();
    const first = await openSpool<string>(optionsOf(folder));
    for (let at = 0; at < 40; at++) await first.append(numbered(at * 5, at * 5 + 5, '-'.repeat(1000)));
    await first.close(1000);
    const handle = await open('/dev/null', 'r');
    const prototype = Object.getPrototypeOf(handle) as Record<'read', (...args: unknown[]) => Promise<unknown>>;
    await handle.close();
    const read = prototype.read;
    const spy = vi.spyOn(prototype, 'read').mockImplementation(function (this: unknown, ...args) {
      const [, , length, position] = args as [unknown, number, number, number];
      if (position < 53_248 && position + length > 49_152) return Promise.reject(errorOf('EIO'));
      return read.apply(this, args);
    });
    onTestFinished(() => spy.mockRestore());
    const spool = await opened(folder);
    const numbers = numbersOf(await drained(spool));
    expect(numbers.at(-1)).toBe(199);
    expect(numbers.length).toBeGreaterThanOrEqual(190);
    expect(numbers.length).toBeLessThan(200);
    expect(spool.state.damaged).toBe(1);
  });

  test('without file descriptors, a segment is read once there are some again', async () => {
    const folder = scratch();
    const spool = await opened(folder, { windowBytes: 0 });
    await spool.append(numbered(0, 10));
    let failures = 3;
    const handle = await open('/dev/null', 'r');
    const prototype = Object.getPrototypeOf(handle) as Record<'read', (...args: unknown[]) => Promise<unknown>>;
    await handle.close();
    const read = prototype.read;
    const spy = vi.spyOn(prototype, 'read').mockImplementation(function (this: unknown, ...args) {
      return failures-- > 0 ? Promise.reject(errorOf('ENFILE')) : read.apply(this, args);
    });
    onTestFinished(() => spy.mockRestore());
    expect(numbersOf(await drained(spool))).toEqual(range(0, 10));
    expect(spool.state.damaged).toBe(0);
  });
});
