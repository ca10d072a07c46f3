/** Dead letters on disk, asked of the engine that writes them. */
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test, vi } from 'vitest';
import { type ReportEntry, Unavailable } from '../../../src/adapters/contract.ts';
import { DeadLetters } from '../../../src/spool/index.ts';
import { SILENT_LOG } from '../../../src/core/handlers/live-handler.ts';
import { engineOf } from './engine-of.ts';

const policy = (folder: string, version = 1): string => `
settings: { spool: { folder: ${folder} } }
handlers: { out: { adapter: log-script, config: { script: out, version: ${version} }, batch: { max: 1 }, spool: disk } }
rules: [{ name: written, report: { handler: out, input: { path: request.path } }, calls: [log] }]`;

/** A call of JavaScript takes fewer arguments; 64 MiB hold more letters. */
const MANY = 150_000;
/** In the first frame, after the heads of the segment and the frame. */
const DAMAGED_AT = 80;

test('all of a full folder are settled by one request', { timeout: 60_000 }, async () => {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-letters-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const letters = await DeadLetters.open(join(folder, 'out', 'dead-letters'), 64 * 1024 * 1024, SILENT_LOG);
  const bytes = Buffer.alloc(1);
  for (let from = 0; from < MANY; from += 10_000)
    await Promise.all(
      Array.from({ length: 10_000 }, (_, at) =>
        letters.put({ id: `${from + at}`, rule: 'written', why: 'too large', atMs: 1e12 }, bytes),
      ),
    );
  await letters.close();
  const { engine } = await engineOf(policy(folder), {});

  const listed = await engine.letters({ kind: 'list', handler: 'out' });
  expect([listed.rows.length, listed.more]).toEqual([10_000, MANY - 10_000]);
  const { settled } = await engine.letters({ kind: 'drop', handler: 'out', ids: undefined });
  expect(settled).toHaveLength(MANY);
  expect((await engine.letters({ kind: 'list', handler: 'out' })).rows).toEqual([]);
  await engine.drain();
});

test('a letter is listed once while several handlers of its folder leave', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-letters-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const letters = await DeadLetters.open(join(folder, 'out', 'dead-letters'), 1024 * 1024, SILENT_LOG);
  await letters.put({ id: 'a', rule: 'written', why: 'too large', atMs: 1e12 }, Buffer.alloc(1));
  await letters.close();
  const answer = Promise.withResolvers<void>();
  let asked = 0;
  const write = (): Promise<void> => {
    asked++;
    return answer.promise;
  };
  const { engine, load, log } = await engineOf(policy(folder), { out: { write } });
  void log({ 'request.path': '/' });
  await vi.waitFor(() => expect(asked).toBe(1));
  await engine.use(await load(policy(folder, 2)));
  await engine.use(await load('rules: [{ name: none, deny: {}, match: "false" }]'));
  const { rows } = await engine.letters({ kind: 'list', handler: undefined });
  expect(rows.map(({ id }) => id)).toEqual(['a']);
  answer.resolve();
  await engine.drain();
});

test('a report whose definition is damaged becomes a letter with its values and without params', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-letters-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const away = { write: () => Promise.reject(new Unavailable('away')) };
  const first = await engineOf(policy(folder), { out: away });
  // A frame has 1 MiB: the first of the group, which carries the definition for both, is in another one than the second.
  const paths = ['/0', `/1${'x'.repeat(1_100_000)}`, '/2'];
  for (const path of paths) void first.log({ 'request.path': path });
  await first.engine.whenSafe();
  await first.engine.drain();
  const own = join(folder, 'out', '1');
  const [segment = ''] = (await readdir(own)).filter((name) => name.endsWith('.spool'));
  const bytes = await readFile(join(own, segment));
  bytes.writeUInt8(bytes.readUInt8(DAMAGED_AT) ^ 0xff, DAMAGED_AT);
  await writeFile(join(own, segment), bytes);

  const written: unknown[] = [];
  const write = (entries: readonly ReportEntry[]): void =>
    void written.push(...entries.map(({ input }) => input['path']));
  const { engine } = await engineOf(policy(folder), { out: { write } });
  const rowsOf = async () => (await engine.letters({ kind: 'list', handler: 'out' })).rows;
  await vi.waitFor(async () => expect([written, (await rowsOf()).length]).toEqual([['/2'], 1]), { timeout: 20_000 });
  const [row] = await rowsOf();
  expect(row?.why).toBe('the definition of its sink is lost; the log was damaged there');
  const { shown = '' } = await engine.letters({ kind: 'show', id: row?.id ?? '', handler: 'out' });
  const { values, ...others } = JSON.parse(shown) as { values: { path: string } };
  expect(values.path.slice(0, 3)).toBe('/1x');
  expect(others).not.toHaveProperty('params');
  expect(others).not.toHaveProperty('unreadable');
  await engine.drain();
});
