/** Refused records are kept, listed, and dropped; also beside the server that writes them. */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { crc32 } from 'node:zlib';
import { expect, onTestFinished, test } from 'vitest';
import { eventually } from '../../../src/adapters/testing/index.ts';
import {
  type DeadLetter,
  DeadLetters,
  inspectSpool,
  markDone,
  openSpool,
  readDeadLetters,
  replayDeadLetters,
  type SpoolOptions,
} from '../../../src/spool/index.ts';

const SILENT = { info() {}, warn() {}, error() {} };

function scratch(): string {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-dead-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}
async function listed(folder: string): Promise<DeadLetter[]> {
  const letters: DeadLetter[] = [];
  for await (const one of readDeadLetters(folder)) letters.push(one);
  return letters;
}
const letter = (id: string) => ({ id, rule: 'audit', why: 'too large', atMs: 1e12 });

test('dead letters are listed in order beside their writer, until they are done', async () => {
  const folder = scratch();
  const letters = await DeadLetters.open(folder, 1e6, SILENT);
  onTestFinished(() => letters.close());
  for (const id of ['a', 'b', 'c']) void letters.put(letter(id), Buffer.from(`bytes\nof ${id}`));
  await eventually(() => expect(letters.kept).toBe(3));
  expect((await listed(folder)).map(({ id, bytes }) => [id, bytes.toString()])).toEqual([
    ['a', 'bytes\nof a'],
    ['b', 'bytes\nof b'],
    ['c', 'bytes\nof c'],
  ]);
  await markDone(folder, [...(await listed(folder)).filter(({ id }) => id === 'b'), { sequence: 99 }]);
  expect((await listed(folder)).map(({ id }) => id)).toEqual(['a', 'c']);
  void letters.put(letter('d'), Buffer.from(''));
  await letters.close();
  expect((await listed(folder)).map(({ id, rule, why }) => [id, rule, why])).toEqual(
    ['a', 'c', 'd'].map((id) => [id, 'audit', 'too large']),
  );
});

test('they survive a restart, and the oldest go when there is no room', async () => {
  const folder = scratch();
  for (let round = 0; round < 4; round++) {
    const letters = await DeadLetters.open(folder, 600_000, SILENT);
    for (let at = 0; at < 30; at++) {
      void letters.put(letter(`${round}-${at}`), Buffer.alloc(10_000));
      if (at % 5 === 0) await new Promise((resolve) => void setTimeout(resolve, 2));
    }
    await letters.close();
  }
  const ids = (await listed(folder)).map(({ id }) => id);
  expect(ids.at(-1)).toBe('3-29');
  expect(ids.length).toBeLessThan(100);
  expect(ids.length).toBeGreaterThan(30);
});

test('a folder without dead letters lists none', async () => {
  expect(await listed(join(scratch(), 'none'))).toEqual([]);
});

test('what cannot be read is not taken for empty: nothing is listed, sent again, or removed', async () => {
  const folder = scratch();
  const letters = await DeadLetters.open(folder, 1e6, SILENT);
  await letters.put(letter('a'), Buffer.from('a'));
  await letters.close();
  mkdirSync(join(folder, 'done'));
  await expect(listed(folder)).rejects.toThrow('EISDIR');
  await expect(replayDeadLetters(folder, join(scratch(), '1'), () => true)).rejects.toThrow('EISDIR');

  const log = join(scratch(), '1');
  const sent = join(log, 'replay', 'sent');
  mkdirSync(dirname(sent), { recursive: true });
  symlinkSync('sent', sent); // reading it fails, with ELOOP
  const lines: string[] = [];
  const spool = await openSpool<never>({
    ...spoolOptions(log),
    log: { ...SILENT, warn: (message: string) => void lines.push(message) },
  });
  onTestFinished(() => spool.close(1000));
  await eventually(() => expect(lines).toContain('dead letters to replay could not be taken up; it is tried again'));
  expect(readdirSync(dirname(sent))).toEqual(['sent']);
});

test('a spool can be inspected beside its writer', async () => {
  const folder = scratch();
  const spool = await openSpool({
    folder,
    maxBytes: 1e6,
    maxAgeMs: undefined,
    segmentBytes: 1e6,
    syncEveryMs: 5,
    windowBytes: 0,
    whenFull: 'block',
    log: SILENT,
    nowMs: () => 1e12,
    monotonicMs: () => 0,
  });
  await spool.append([{ bytes: Buffer.from('a'), value: undefined }]);
  // This process is asked by its touches of the lock, as a thread of it may have crashed.
  expect(await inspectSpool(folder)).toMatchObject({ waiting: 1, oldestAtMs: 1e12, owner: process.pid });
  await spool.close(1000);
  expect(await inspectSpool(folder)).toMatchObject({ waiting: 1, owner: undefined });
});

test('dead letters are replayed into the log of a running server, and into one that opens later', async () => {
  const root = scratch();
  const letters = await DeadLetters.open(join(root, 'dead-letters'), 1e6, SILENT);
  onTestFinished(() => letters.close());
  for (const id of ['a', 'b', 'c']) await letters.put(letter(id), Buffer.from(`bytes of ${id}`));
  let replayed = 0;
  const options = {
    folder: join(root, '1'),
    maxBytes: 1e7,
    maxAgeMs: undefined,
    segmentBytes: 1e6,
    syncEveryMs: 10,
    windowBytes: 1000,
    whenFull: 'block',
    log: SILENT,
    nowMs: () => Date.now(),
    onReplayed: (records: number) => void (replayed += records),
  } as const;
  const spool = await openSpool<never>(options);
  expect(await replayDeadLetters(join(root, 'dead-letters'), options.folder, ({ id }) => id !== 'b')).toEqual([
    'a',
    'c',
  ]);
  expect((await listed(join(root, 'dead-letters'))).map(({ id }) => id)).toEqual(['b']);
  await eventually(() => expect(replayed).toBe(2));
  const taken = await spool.take(10, 1e6);
  expect(taken?.records.map(({ bytes }) => Buffer.from(bytes).toString())).toEqual(['bytes of a', 'bytes of c']);
  spool.acknowledge(taken?.through ?? 0);
  await spool.close(1000);
  await replayDeadLetters(join(root, 'dead-letters'), options.folder, () => true);
  expect(await replayDeadLetters(join(root, 'dead-letters'), options.folder, () => true)).toEqual([]);
  const again = await openSpool<never>(options);
  onTestFinished(() => again.close(1000));
  await eventually(() => expect(replayed).toBe(3));
  expect((await again.take(10, 1e6))?.records.map(({ bytes }) => Buffer.from(bytes).toString())).toEqual([
    'bytes of b',
  ]);
});

test('dead letters of a newer version are kept beside those of this one, with what is done, until a version reads them', async () => {
  const root = scratch();
  const folder = join(root, 'dead-letters');
  const newer = await DeadLetters.open(folder, 1e6, SILENT);
  await Promise.all(['a', 'b', 'c'].map((id) => newer.put(letter(id), Buffer.from(id))));
  await newer.close();
  await markDone(
    folder,
    (await listed(folder)).filter(({ id }) => id === 'b'),
  );
  asVersion(2, folder);
  expect(await listed(folder)).toEqual([]);
  await markDone(folder, []);

  const letters = await DeadLetters.open(folder, 1e6, SILENT);
  await letters.put(letter('d'), Buffer.from('d'));
  await letters.close();
  expect((await listed(folder)).map(({ id }) => id)).toEqual(['d']);
  asVersion(1, `${folder}.newer-1`);
  expect((await listed(`${folder}.newer-1`)).map(({ id }) => id)).toEqual(['a', 'c']);
});

test('letters that a newer version replays stay in the inbox, with one line, until that version takes them up', async () => {
  const root = scratch();
  const [folder, log] = [join(root, 'dead-letters'), join(root, '1')];
  const letters = await DeadLetters.open(folder, 1e6, SILENT);
  await letters.put(letter('a'), Buffer.from('a'));
  await letters.close();
  await replayDeadLetters(folder, log, () => true);
  const [sent = ''] = readdirSync(join(log, 'replay'));
  asVersion(2, join(log, 'replay', sent));

  const lines: unknown[] = [];
  const warned = { ...SILENT, warn: (_: string, fields: unknown) => lines.push(fields) };
  const options = { ...spoolOptions(log), log: warned };
  const spool = await openSpool(options);
  await eventually(() => expect(lines).toHaveLength(1));
  expect(lines).toMatchObject([{ why: 'they are written by a newer version, format 2; this one reads up to 1' }]);
  expect(spool.state.waiting).toBe(0);
  await spool.close(1000);
  asVersion(1, join(log, 'replay', sent));
  const upgraded = await openSpool(options);
  await eventually(() => expect(upgraded.state.waiting).toBe(1));
  await upgraded.close(1000);
});

const spoolOptions = (folder: string): SpoolOptions => ({
  folder,
  maxBytes: 1e6,
  maxAgeMs: undefined,
  segmentBytes: 1e5,
  syncEveryMs: 5,
  windowBytes: 0,
  whenFull: 'block',
  log: SILENT,
  nowMs: () => Date.now(),
});

/** Makes the segments in a folder those of a version of this number. */
function asVersion(version: number, folder: string): void {
  for (const name of readdirSync(folder).filter((one) => one.endsWith('.spool'))) {
    const bytes = readFileSync(join(folder, name));
    bytes.writeUInt16LE(version, 8);
    bytes.writeUInt32LE(crc32(bytes.subarray(0, 28)), 28);
    writeFileSync(join(folder, name), bytes);
  }
}
