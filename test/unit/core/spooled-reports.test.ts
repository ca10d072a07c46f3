/** Reports that wait in a log on disk: kept over crashes, reloads and handlers, with a real engine and a real spool. */
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { Rejected, type ReportEntry, Unavailable } from '../../../src/adapters/contract.ts';
import { type DeadLetter, openSpool, readDeadLetters } from '../../../src/spool/index.ts';
import { SILENT_LOG } from '../../../src/core/handlers/live-handler.ts';
import type { LoggedReport } from '../../../src/core/handlers/spooled/group-writer.ts';
import { ReportLog } from '../../../src/core/handlers/spooled/report-log.ts';
import { engineOf, pause, type Script } from './engine-of.ts';

async function spoolFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-spool-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

const RULES = `rules:
  - { name: written, report: { handler: out, input: { path: request.path, code: response.code, took: response.duration, at: request.time } }, calls: [log] }`;
const policy = (
  folder: string,
  { spool = 'disk', batch = '{ max: 3, maxAge: 10ms }', version = 1, rules = RULES } = {},
): string => `
settings: { spool: { folder: ${folder} } }
handlers: { out: { adapter: log-script, config: { script: out, version: ${version} }, batch: ${batch}, spool: ${spool} } }
${rules}`;
const NO_RULES = 'rules: [{ name: none, deny: {}, match: "false" }]';

interface Sink extends Script {
  isAway: boolean;
  readonly entries: ReportEntry[];
}
function sink(isAway = false): Sink {
  const out: Sink = {
    isAway,
    entries: [],
    write: async (entries) => {
      await Promise.resolve();
      if (out.isAway) throw new Unavailable('away');
      out.entries.push(...entries);
    },
  };
  return out;
}
const paths = ({ entries }: Sink): unknown[] => entries.map(({ input }) => input['path']);
const sent = (log: (values: Record<string, unknown>) => unknown, from: number, to: number): void => {
  for (let entry = from; entry < to; entry++) void log({ 'request.path': `/${entry}`, 'response.code': 200 + entry });
};
const numbered = (from: number, to: number): string[] => Array.from({ length: to - from }, (_, at) => `/${from + at}`);

describe('reports on disk', () => {
  test('are safe when they are written, and are sent in order', async () => {
    const out = sink();
    const { log, engine } = await engineOf(policy(await spoolFolder()), { out });
    sent(log, 0, 7);
    const safe = engine.whenSafe();
    expect(safe).toBeInstanceOf(Promise);
    await safe;
    expect(engine.whenSafe()).toBeUndefined();
    await engine.flush();
    expect(paths(out)).toEqual(numbered(0, 7));
    expect(engine.meters.ofHandler('out').written).toBe(7);
    expect(engine.handlers()[0]).toMatchObject({ queued: 0 });
  });

  test('outlive the engine while the backend is away, with their ids, times and types', async () => {
    const folder = await spoolFolder();
    const away = sink(true);
    const first = await engineOf(policy(folder), { out: away });
    sent(first.log, 0, 250);
    await first.engine.whenSafe();
    const beganAtMs = performance.now();
    await first.engine.drain();
    expect(performance.now() - beganAtMs).toBeLessThan(4000);
    expect(first.engine.meters.ofHandler('out').lost).toBe(0);

    const out = sink();
    const second = await engineOf(policy(folder), { out });
    sent(second.log, 250, 253);
    await vi.waitFor(() => expect(out.entries).toHaveLength(253), { timeout: 20_000 });
    expect(paths(out)).toEqual(numbered(0, 253));
    expect(new Set(out.entries.map(({ id }) => id)).size).toBe(253);
    const [old, fresh] = [out.entries[0], out.entries.at(-1)];
    for (const name of ['path', 'code', 'took', 'at'])
      expect(typeof old?.input[name], name).toBe(typeof fresh?.input[name]);
    expect(old?.timeMs).toBeGreaterThan(Date.now() - 60_000);
  });

  test('of a rule that is gone are sent by a sink of its stored definition', async () => {
    const folder = await spoolFolder();
    const first = await engineOf(policy(folder), { out: sink(true) });
    sent(first.log, 0, 5);
    await first.engine.whenSafe();
    await first.engine.drain();

    const out = sink();
    const other = RULES.replace('name: written', 'name: other').replace('path: request.path', 'where: request.path');
    await engineOf(policy(folder, { rules: other }), { out });
    await vi.waitFor(() => expect(paths(out)).toEqual(numbered(0, 5)), { timeout: 20_000 });
    expect(out.entries[0]?.sink).toBe('written');
  });
});

/** Makes the segments in a folder those of a version of this number. */
async function writtenBy(version: number, folder: string): Promise<void> {
  for (const name of (await readdir(folder)).filter((one) => one.endsWith('.spool'))) {
    const bytes = await readFile(join(folder, name));
    bytes.writeUInt16LE(version, 8);
    bytes.writeUInt32LE(crc32(bytes.subarray(0, 28)), 28);
    await writeFile(join(folder, name), bytes);
  }
}

describe('reports of a newer version', () => {
  test('wait beside those of this one, named and not counted as damage, and are sent after an upgrade', async () => {
    const folder = await spoolFolder();
    const log = join(folder, 'out', '1');
    const first = await engineOf(policy(folder), { out: sink(true) });
    sent(first.log, 0, 7);
    await first.engine.whenSafe();
    await first.engine.drain();
    await writtenBy(2, log);

    for (const [from, to] of [
      [7, 9],
      [9, 12],
    ] as const) {
      const out = sink();
      const older = await engineOf(policy(folder), { out });
      sent(older.log, from, to);
      await older.engine.flush();
      expect(paths(out)).toEqual(numbered(from, to));
      expect(older.engine.handlers()[0]?.reports).toMatchObject({ waiting: 0, disk: { damaged: 0, cutTails: 0 } });
      expect(older.logged.filter(({ level }) => level === 'warn')).toEqual([
        {
          level: 'warn',
          message: 'records of a newer version are kept, and not read; start that version again to have them',
          fields: { folder: `${log}.newer-1`, why: 'written by a newer version, format 2; this one reads up to 1' },
        },
      ]);
      await older.engine.drain();
    }

    await writtenBy(1, `${log}.newer-1`);
    const out = sink();
    await engineOf(policy(folder), { out });
    await vi.waitFor(() => expect(paths(out)).toEqual(numbered(0, 7)), { timeout: 20_000 });
    await vi.waitFor(async () => expect(await readdir(join(folder, 'out'))).toEqual(['1']), { timeout: 20_000 });
  });

  test('that were sent before the downgrade are not sent again after it, and the others of both versions are', async () => {
    const folder = await spoolFolder();
    const log = join(folder, 'out', '1');
    const newer = sink();
    const first = await engineOf(policy(folder), { out: newer });
    sent(first.log, 0, 3);
    await first.engine.flush();
    newer.isAway = true;
    sent(first.log, 3, 5);
    await first.engine.whenSafe();
    await first.engine.drain();
    await writtenBy(2, log);
    const second = await engineOf(policy(folder), { out: sink(true) });
    sent(second.log, 5, 8);
    await second.engine.whenSafe();
    await second.engine.drain();
    await writtenBy(1, `${log}.newer-1`);
    const out = sink();
    await engineOf(policy(folder), { out });
    await vi.waitFor(() => expect(new Set(paths(out))).toEqual(new Set(numbered(3, 8))), { timeout: 20_000 });
  });
});

describe('a reload', () => {
  test('that changes the handler goes on at the cursor; nothing is lost, nothing sent twice', async () => {
    const folder = await spoolFolder();
    const out = sink();
    const { log, engine, load } = await engineOf(policy(folder), { out });
    for (let version = 2; version < 8; version++) {
      sent(log, (version - 2) * 20, (version - 1) * 20);
      await engine.use(await load(policy(folder, { version })));
    }
    await engine.flush();
    await vi.waitFor(() => expect(out.entries).toHaveLength(120), { timeout: 20_000 });
    expect(paths(out)).toEqual(numbered(0, 120));
  });

  test('that removes the handler leaves it sending, and operators see it', async () => {
    const folder = await spoolFolder();
    const out = sink(true);
    const { log, engine, load, logged } = await engineOf(policy(folder), { out });
    sent(log, 0, 10);
    await vi.waitFor(() => expect(logged.map(({ fields }) => fields['waitingReports'])).toContain(10));
    await engine.use(await load(NO_RULES));
    expect(engine.handlers()).toMatchObject([{ name: 'out', queued: 10 }]);
    await vi.waitFor(() =>
      expect(logged).toContainEqual({
        level: 'warn',
        message: 'a removed handler still has reports on disk; it goes on until they are sent',
        fields: { handler: 'log-script/out', reports: 10, list: `sluice spool list --folder ${folder}` },
      }),
    );
    out.isAway = false;
    await vi.waitFor(() => expect(paths(out)).toEqual(numbered(0, 10)), { timeout: 20_000 });
    await vi.waitFor(() => expect(engine.handlers()).toEqual([]), { timeout: 20_000 });
  });

  test('that is refused leaves the log with the handler in force', async () => {
    const folder = await spoolFolder();
    const out = sink();
    const { log, engine, load } = await engineOf(policy(folder), { out });
    const prepared = await engine.prepare(await load(policy(folder, { version: 2 })));
    await prepared.abandon();
    sent(log, 0, 5);
    await engine.flush();
    expect(paths(out)).toEqual(numbered(0, 5));
  });
});

test('a refused report goes to the dead letters with its id, the others are written', async () => {
  const folder = await spoolFolder();
  const written: ReportEntry[] = [];
  const out: Script = {
    write: (entries) => {
      const at = entries.findIndex(({ input }) => input['path'] === '/1');
      written.push(...entries.filter((_, index) => index !== at));
      if (at >= 0) throw new Rejected('too large', [at]);
    },
  };
  const { log, engine, logged } = await engineOf(policy(folder), { out });
  sent(log, 0, 3);
  await engine.flush();
  await engine.drain();
  const letters: DeadLetter[] = [];
  for await (const letter of readDeadLetters(join(folder, 'out', 'dead-letters'))) letters.push(letter);
  expect(letters).toMatchObject([{ rule: 'written', why: expect.stringContaining('too large') }]);
  const id = letters[0]?.id ?? '';
  expect(written.map((entry) => entry.id)).not.toContain(id);
  expect(engine.meters.ofHandler('out')).toMatchObject({ written: 2, deadLettered: 1 });
  expect(logged.find(({ message }) => message === 'reports were rejected and are put aside')?.fields).toMatchObject({
    rejected: 1,
    show: `sluice deadletter show ${id} --folder ${folder}`,
  });
  expect(logged.filter(({ message }) => message.startsWith('dead letters'))).toEqual([
    {
      level: 'info',
      message: 'dead letters stay on disk',
      fields: {
        handler: 'log-script/out',
        sinceStart: 1,
        folder: join(folder, 'out'),
        list: `sluice deadletter list --folder ${folder}`,
      },
    },
  ]);
});

test('the cursor waits until refused reports are dead letters', async () => {
  const folder = await spoolFolder();
  const options = { folder, maxBytes: 1e7, maxAgeMs: undefined, segmentBytes: 1e6, syncEveryMs: 10, windowBytes: 1e6 };
  const spool = await openSpool<LoggedReport>({
    ...options,
    whenFull: 'block',
    log: SILENT_LOG,
    nowMs: () => Date.now(),
  });
  const reports = new ReportLog('out', folder, spool, SILENT_LOG, 100);
  const kept = Promise.withResolvers<void>();
  const refused = vi.fn(() => kept.promise);
  reports.sendBy({
    batch: () => ({ max: 10, maxBytes: 1e6, maxAgeMs: 1 }),
    stop: new AbortController().signal,
    send: (batch) => Promise.resolve(batch.map((_, index) => ({ index, why: 'too large' }))),
    refused,
    emptied: () => undefined,
  });
  const { load } = await engineOf(policy(folder, { spool: 'memory' }), { out: sink() });
  const [rule] = (await load(policy(folder))).rules;
  if (rule === undefined) throw new Error('no rule');
  void reports.push({ sink: undefined, id: 'a-1', timeMs: 1, input: { path: '/', code: 200 } }, rule);
  await vi.waitFor(() => expect(refused).toHaveBeenCalledTimes(1));
  await pause(50);
  expect(spool.state.acknowledged).toBe(0);
  kept.resolve();
  await vi.waitFor(() => expect(spool.state.acknowledged).toBe(1));
  await reports.close(1000);
});

test('reports of a handler that is no longer spooled are named when the server starts', async () => {
  const folder = await spoolFolder();
  const first = await engineOf(policy(folder), { out: sink(true) });
  sent(first.log, 0, 7);
  await first.engine.whenSafe();
  await first.engine.drain();
  const { logged } = await engineOf(policy(folder, { spool: 'memory' }), { out: sink() });
  await vi.waitFor(() =>
    expect(logged).toContainEqual({
      level: 'warn',
      message: 'reports wait on disk for handlers that the policy does not spool; they are kept, and not sent',
      fields: { handlers: ['out'], reports: 7, list: `sluice spool list --folder ${folder}` },
    }),
  );
  const quiet = await engineOf(policy(folder), { out: sink() });
  await quiet.engine.flush();
  expect(quiet.logged.filter(({ level }) => level === 'warn')).toEqual([]);
});

test('a stuck handler delays no other, and a hung one does not delay the end', async () => {
  const folder = await spoolFolder();
  const hung: Script = { write: () => new Promise(() => {}) };
  const out = sink();
  const { log, engine } = await engineOf(
    policy(folder).replace(
      'handlers: {',
      'handlers: { hung: { adapter: log-script, config: { script: hung }, spool: disk, deadline: 60s },',
    ) + `\n  - { name: stuck, report: { handler: hung, input: { path: request.path } }, calls: [log] }`,
    { out, hung },
    { graceMs: 400 },
  );
  sent(log, 0, 500);
  await vi.waitFor(() => expect(out.entries).toHaveLength(500), { timeout: 20_000 });
  const beganAtMs = performance.now();
  await engine.drain();
  expect(performance.now() - beganAtMs).toBeLessThan(3000);
});

test('the log of a worker that is no more is adopted by the first, and its folder goes', async () => {
  const folder = await spoolFolder();
  const third = await engineOf(policy(folder), { out: sink(true) }, { worker: { number: 3, count: 3 } });
  sent(third.log, 0, 5);
  await third.engine.whenSafe();
  await third.engine.drain();
  const out = sink();
  await engineOf(policy(folder), { out }, { worker: { number: 1, count: 2 } });
  await vi.waitFor(() => expect(paths(out)).toEqual(numbered(0, 5)), { timeout: 20_000 });
  await vi.waitFor(async () => expect(await readdir(join(folder, 'out'))).toEqual(['1']), { timeout: 20_000 });
});
