/** A process whose files may not become as large as a segment (`ulimit -f`, LimitFSIZE). */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';

const LIMIT_KIB = 1200;
const RECORDS = 5000;

test('writes smaller segments, loses nothing, and logs the first failure alone', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-spool-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const program = `
    const { openSpool } = await import(${JSON.stringify(join(import.meta.dirname, '../../../src/spool/index.ts'))});
    const lines = [];
    const note = (line) => lines.push(line);
    const log = { info: note, warn() {}, error: note };
    const options = { folder: ${JSON.stringify(folder)}, maxBytes: 2 ** 30, segmentBytes: 2 ** 26, syncEveryMs: 50,
      windowBytes: 0, whenFull: 'block', log, nowMs: Date.now };
    const spool = await openSpool(options);
    const append = (value) => spool.append([{ bytes: Buffer.from(String(value).padEnd(1000)), value }]);
    await Promise.all(Array.from({ length: ${RECORDS} }, (_, at) => append(at)));
    const { segments } = spool.state;
    await spool.close(5000);
    const again = await openSpool(options);
    let next = 0;
    for (let taken = await again.take(1000, 1e6); taken !== undefined; taken = await again.take(1000, 1e6)) {
      for (const { bytes } of taken.records) if (Number(Buffer.from(bytes)) === next) next++;
      again.acknowledge(taken.through);
    }
    await again.close(5000);
    console.log(JSON.stringify({ segments, next, lines }));`;
  const child = spawn('bash', [
    '-c',
    `ulimit -f ${LIMIT_KIB}; exec "$0" --input-type=module -e "$1"`,
    process.execPath,
    program,
  ]);
  let out = '';
  let errors = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (out += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (errors += text));
  const giveUp = setTimeout(() => child.kill('SIGKILL'), 15_000);
  await once(child, 'close');
  clearTimeout(giveUp);
  expect(errors).toBe('');
  const { segments, next, lines } = JSON.parse(out) as { segments: number; next: number; lines: string[] };
  expect(next).toBe(RECORDS);
  expect(segments).toBeLessThanOrEqual(8);
  expect(lines).toEqual([
    'a spool cannot be written; reports wait until the disk accepts them',
    'a spool can be written again',
  ]);
}, 30_000);
