/** A process that has no file descriptor left at the moment at which a spool is read: nothing is lost, one line says why it waits. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { expect, onTestFinished, test } from 'vitest';

const SOURCES = join(import.meta.dirname, '../../../src');
const MAX_FILES = 64;
/** Of src/spool/reader.ts. */
const RETRY_MS = 100;

/** A program of its own, which may open 64 files. The pauses between two tries are short, so that many tries take little time. */
async function shortOfFiles(program: string): Promise<{ readonly [name: string]: unknown }> {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-short-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const prelude = `
    import { openSync, closeSync } from 'node:fs';
    import files from 'node:fs/promises';
    import { syncBuiltinESMExports } from 'node:module';
    import timers from 'node:timers/promises';
    const { open, readFile } = files;
    const { setTimeout: sleep } = timers;
    let failures = 0;
    files.open = (...given) => open(...given).catch((error) => {
      if (error.code === 'EMFILE' && given[0].endsWith('.spool')) failures++;
      throw error;
    });
    let looksAtLock = 0;
    files.readFile = (...given) => readFile(...given).catch((error) => {
      if (error.code === 'EMFILE' && given[0].endsWith('/lock')) looksAtLock++;
      throw error;
    });
    timers.setTimeout = (ms, ...others) => sleep(ms === ${RETRY_MS} ? 1 : ms, ...others);
    syncBuiltinESMExports();
    const held = [];
    const exhaust = () => { try { for (;;) held.push(openSync('/dev/null')); } catch (error) { if (error.code !== 'EMFILE') throw error; } };
    const release = () => { for (const file of held.splice(0)) closeSync(file); };
    const { openSpool } = await import('${SOURCES}/spool/open-spool.ts');
    const { readRecords, inspectSpool } = await import('${SOURCES}/spool/read-only.ts');
    const lines = [];
    const line = (level) => (message, fields) => lines.push([level, message, fields.why ?? '']);
    const log = { info: line('info'), warn: line('warn'), error: line('error') };
    const options = { folder: ${JSON.stringify(folder)}, maxBytes: 1e9, maxAgeMs: undefined, segmentBytes: 65_536, syncEveryMs: 1000,
      windowBytes: 0, whenFull: 'block', log, nowMs: () => Date.now() };
    const spool = await openSpool(options);
    const COUNT = 40;
    const append = (at) => spool.append([{ bytes: Buffer.from(String(at).padEnd(20_000)), value: undefined }]);
    for (let at = 0; at < COUNT; at++) await append(at);
    const numbers = (records) => records.map(({ bytes }) => Number(Buffer.from(bytes).toString()));
    const done = (result) => { release(); console.log(JSON.stringify(result)); };
  `;
  const child = spawn(
    'bash',
    [
      '-c',
      `ulimit -n ${MAX_FILES}; exec "$0" --no-warnings --input-type=module -e "$1"`,
      process.execPath,
      prelude + program,
    ],
    { stdio: ['ignore', 'pipe', 'pipe'] },
  );
  onTestFinished(() => void child.kill('SIGKILL'));
  const [out, err] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')]);
  expect(err).toBe('');
  return JSON.parse(out) as { readonly [name: string]: unknown };
}

test('records wait on disk for longer than a file that is unreadable, come in order when there are files again, and others follow', async () => {
  const { taken, lines, damaged, failures } = await shortOfFiles(`
    const taken = [];
    const take = async () => { while (taken.length < COUNT) taken.push(...numbers((await spool.take(5, 1e9)).records)); };
    exhaust();
    const taking = take();
    while (failures < 1000 || looksAtLock < 2) await sleep(1);
    release();
    await taking;
    await append(COUNT);
    taken.push(...numbers((await spool.take(5, 1e9)).records));
    const { damaged } = spool.state;
    await spool.close(1000);
    done({ taken, lines, damaged, failures });
  `);
  expect(failures).toBeGreaterThanOrEqual(1000);
  expect(taken).toEqual(Array.from({ length: 41 }, (_, at) => at));
  expect(damaged).toBe(0);
  expect(lines).toEqual([
    [
      'error',
      'a segment of a spool cannot be read now, and is tried again; its records stay on disk',
      expect.stringContaining('EMFILE'),
    ],
    ['info', 'a segment of a spool can be read again', ''],
  ]);
});

test('a spool that closes meanwhile waits no longer, and its records are there for the next one', async () => {
  const { taken } = await shortOfFiles(`
    await spool.take(5, 1e9); // of memory
    exhaust();
    const first = spool.take(5, 1e9);
    while (failures < 10) await sleep(1);
    await spool.close(1000);
    await first; // it may have had the descriptors that the close gave back
    release();
    const next = await openSpool(options);
    const taken = [];
    while (taken.length < COUNT) taken.push(...numbers((await next.take(5, 1e9)).records));
    await next.close(1000);
    done({ taken });
  `);
  expect(taken).toEqual(Array.from({ length: 40 }, (_, at) => at));
});

test('who only looks is told, and sees neither fewer records nor none', async () => {
  const { results, acknowledged, cursor } = await shortOfFiles(`
    await spool.take(10, 1e9); // of memory
    const acknowledged = (await spool.take(10, 1e9)).through;
    spool.acknowledge(acknowledged);
    await spool.upkeep();
    const results = [];
    const look = async (work) => results.push(await work().catch((error) => error.code ?? error.message));
    exhaust();
    await look(async () => { for await (const record of readRecords(options.folder)) record; });
    await look(() => inspectSpool(options.folder));
    await look(() => openSpool({ ...options, folder: options.folder }));
    release();
    await spool.close(1000);
    exhaust();
    await look(() => openSpool(options));
    // The descriptors for the lock and the segments, but not for the cursor.
    let opened;
    for (let spare = 1; opened === undefined && spare < 12; spare++) {
      for (const file of held.splice(0, 1)) closeSync(file);
      opened = await openSpool(options).catch((error) => { results.push(error.code ?? error.message); return undefined; });
    }
    release();
    const next = opened ?? await openSpool(options);
    const [cursor] = numbers((await next.take(1, 1e9)).records);
    await next.close(1000);
    done({ results: [...new Set(results)], acknowledged, cursor });
  `);
  expect(results).toEqual(['EMFILE']);
  expect(acknowledged).toBeGreaterThan(5);
  expect(cursor).toBe(acknowledged); // numbers begin with 0, sequences with 1
});
