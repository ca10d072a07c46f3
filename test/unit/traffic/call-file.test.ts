/** The file that sluice record writes. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { appendFile, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { CallFile } from '../../../src/traffic/record/call-file.ts';
import { readAll, tempFolder } from './recording.ts';

const line = (id: number): string =>
  `${JSON.stringify({ id: `id-${id}`, time: '2026-01-31T12:00:00Z', call: 'http', attributes: { 'request.path': 'x'.repeat(80) } })}\n`;
const lines = (from: number, count: number): Buffer =>
  Buffer.from(Array.from({ length: count }, (_, at) => line(from + at)).join(''));

async function idsIn(path: string): Promise<readonly string[]> {
  const { calls, problems } = await readAll([path]);
  expect(problems.lines()).toEqual([]);
  return calls.map(({ call }) => call.id);
}
const ids = (from: number, to: number): readonly string[] =>
  Array.from({ length: to - from }, (_, at) => `id-${from + at}`);

describe('a file of calls', () => {
  test('is replaced before it grows too large, and its folder has the calls in order', async () => {
    const folder = await tempFolder();
    const file = await CallFile.open({ path: join(folder, 'calls.ndjson'), maxBytes: 1000, keep: 100 });
    for (let at = 0; at < 60; at += 6) await file.write(lines(at, 6));
    await file.close();
    const names = await readdir(folder);
    expect(names.length).toBeGreaterThan(8);
    expect(names.length).toBe(file.rotations + 1);
    for (const name of names) expect((await stat(join(folder, name))).size).toBeLessThanOrEqual(1000);
    expect(await idsIn(folder)).toEqual(ids(0, 60));
  });

  test('keeps as many older ones as are wanted, and no other file is removed', async () => {
    const folder = await tempFolder();
    await writeFile(join(folder, 'calls.of-mine.ndjson'), '');
    const file = await CallFile.open({ path: join(folder, 'calls.ndjson'), maxBytes: 400, keep: 2 });
    for (let at = 0; at < 20; at++) await file.write(lines(at, 1));
    await file.close();
    expect(await readdir(folder)).toHaveLength(4);
    expect((await idsIn(folder)).at(-1)).toBe('id-19');
  });

  test('takes a line that is larger than it, alone', async () => {
    const folder = await tempFolder();
    const file = await CallFile.open({ path: join(folder, 'calls.ndjson'), maxBytes: 200, keep: 9 });
    await file.write(lines(0, 3));
    await file.close();
    expect(await idsIn(folder)).toEqual(ids(0, 3));
  });

  test('is readable by its owner alone', async () => {
    const path = join(await tempFolder(), 'calls.ndjson');
    await (await CallFile.open({ path, maxBytes: 1000, keep: 1 })).close();
    expect((await stat(path)).mode & 0o777).toBe(0o600);
  });

  test('is continued, also after a recorder that was killed within a line', async () => {
    const path = join(await tempFolder(), 'calls.ndjson');
    for (const from of [0, 2]) {
      const file = await CallFile.open({ path, maxBytes: 10_000, keep: 1 });
      await file.write(lines(from, 2));
      await file.close();
      await appendFile(path, '{"id":"half');
    }
    const { calls, problems } = await readAll([path]);
    expect(calls.map(({ call }) => call.id)).toEqual(ids(0, 4));
    expect(problems.count).toBe(2);
  });

  test('is never another file', async () => {
    const path = join(await tempFolder(), 'policy.yaml');
    await writeFile(path, 'rules: []\n');
    await expect(CallFile.open({ path, maxBytes: 1000, keep: 1 })).rejects.toThrow(
      'it exists, and is not a file of calls',
    );
    expect(await readFile(path, 'utf8')).toBe('rules: []\n');
  });

  test('may be compressed, and is then continued and replaced like any other', async () => {
    const folder = await tempFolder();
    const path = join(folder, 'calls.ndjson.gz');
    for (const from of [0, 30]) {
      const file = await CallFile.open({ path, maxBytes: 500, keep: 100 });
      for (let at = from; at < from + 30; at += 3) await file.write(lines(at, 3));
      await file.close();
    }
    expect((await readdir(folder)).length).toBeGreaterThan(2);
    expect(await idsIn(folder)).toEqual(ids(0, 60));
  });

  test('ends with a whole line when the disk is full', async () => {
    const path = join(await tempFolder(), 'calls.ndjson');
    const module = join(import.meta.dirname, '../../../src/traffic/record/call-file.ts');
    const program = `
      process.on('SIGXFSZ', () => {});
      const { CallFile } = await import(${JSON.stringify(module)});
      const file = await CallFile.open({ path: ${JSON.stringify(path)}, maxBytes: 1e9, keep: 1 });
      const lines = Buffer.from(${JSON.stringify(lines(0, 50).toString())});
      for (;;) await file.write(lines).catch((error) => { console.log(error.code); process.exit(0); });`;
    // A limit of 64 KiB stands for the size of the disk.
    const child = spawn('bash', [
      '-c',
      'ulimit -f 64; exec "$0" --input-type=module -e "$1"',
      process.execPath,
      program,
    ]);
    let out = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => (out += text));
    await once(child, 'close');
    expect(out.trim()).toBe('EFBIG');
    const { size } = await stat(path);
    expect(size).toBeGreaterThan(40_000);
    expect(size).toBeLessThanOrEqual(65_536);
    expect((await idsIn(path)).length % 50).toBe(0);
    expect((await readFile(path, 'utf8')).endsWith('}\n')).toBe(true);
  });
});
