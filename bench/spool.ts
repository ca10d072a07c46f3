/**
 * Cost of the spool: records of 500 octets appended in groups of 100, drained from disk, and recovered, beside plain write and fdatasync
 * of the same octets in the same run. `node bench/spool.ts [MEGABYTES] [FOLDER]`; the folder should be on the disk in question.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openSpool, type SpoolOptions } from '../src/spool/index.ts';

const RECORD_BYTES = 500;
const GROUP = 100;
/** Groups that wait for the disk at once: as many streams of access logs. */
const STREAMS = 8;
const megabytes = Number(process.argv[2] ?? 1000);
const groups = Math.round((megabytes * 1e6) / (GROUP * RECORD_BYTES));
const records = groups * GROUP;
const scratch = mkdtempSync(join(process.argv[3] ?? tmpdir(), 'sluice-bench-spool-'));
process.on('exit', () => rmSync(scratch, { recursive: true, force: true }));

/** Distinct octets, so that neither the disk nor a file system can save on equal blocks. */
const noise = Buffer.allocUnsafe(8 * 1024 * 1024);
for (let at = 0; at < noise.length; at += 4) noise.writeUInt32LE((Math.random() * 2 ** 32) >>> 0, at);
let cut = 0;
const nextRecord = (): { bytes: Buffer; value: undefined } => {
  cut = (cut + 517) % (noise.length - RECORD_BYTES);
  return { bytes: noise.subarray(cut, cut + RECORD_BYTES), value: undefined };
};
const nextGroup = (): { bytes: Buffer; value: undefined }[] => Array.from({ length: GROUP }, nextRecord);

const optionsOf = (folder: string, syncEveryMs: number): SpoolOptions => ({
  folder: join(scratch, folder),
  maxBytes: Infinity,
  maxAgeMs: undefined,
  segmentBytes: 16 * 1024 * 1024,
  syncEveryMs,
  windowBytes: 0,
  whenFull: 'block',
  log: { info() {}, warn() {}, error: console.error },
  nowMs: () => Date.now(),
});

/** Seconds, and microseconds of processor time per record. */
async function timed(work: () => Promise<void>): Promise<{ readonly s: number; readonly cpuUs: number }> {
  const cpu = process.cpuUsage();
  const beganAtMs = performance.now();
  await work();
  const s = (performance.now() - beganAtMs) / 1000;
  const { user, system } = process.cpuUsage(cpu);
  return { s, cpuUs: (user + system) / records };
}

const row = (name: string, { s, cpuUs }: { readonly s: number; readonly cpuUs: number }, beside: number): void =>
  console.log(
    `| ${name} | ${Math.round(records / s / 1000)} k | ${Math.round(megabytes / s)} | ${cpuUs.toFixed(2)} | ${(beside / s).toFixed(2)} |`,
  );

console.log(`${records} records of ${RECORD_BYTES} octets in groups of ${GROUP}; ${STREAMS} groups at once\n`);
console.log('| | records/s | MB/s | CPU us/record | of plain |\n|---|---|---|---|---|');

/** What cannot be saved: the same octets, copied into one buffer per write, and synced every 50 ms. */
const plain = await timed(async () => {
  const file = await open(join(scratch, 'plain'), 'w');
  let syncedAtMs = performance.now();
  for (let group = 0; group < groups; group += STREAMS) {
    await file.write(Buffer.concat(Array.from({ length: STREAMS * GROUP }, () => nextRecord().bytes)));
    if (performance.now() - syncedAtMs < 50) continue;
    await file.datasync();
    syncedAtMs = performance.now();
  }
  await file.datasync();
  await file.close();
});
row('plain write, fdatasync every 50 ms', plain, plain.s);
rmSync(join(scratch, 'plain'));

for (const [name, syncEveryMs] of [
  ['append, sync 50ms', 50],
  ['append, sync always', 0],
  ['append, sync never', Infinity],
] as const) {
  const spool = await openSpool<never>(optionsOf(`log-${syncEveryMs}`, syncEveryMs));
  row(
    name,
    await timed(async () => {
      let left = groups;
      await Promise.all(
        Array.from({ length: STREAMS }, async () => {
          while (left-- > 0) await spool.append(nextGroup());
        }),
      );
      await spool.close(60_000);
    }),
    plain.s,
  );
  if (syncEveryMs !== 50) rmSync(join(scratch, `log-${syncEveryMs}`), { recursive: true, force: true });
}

const beganAtMs = performance.now();
const spool = await openSpool<never>(optionsOf('log-50', 50));
const openedMs = performance.now() - beganAtMs;
const { segments, bytesOnDisk, waiting } = spool.state;
let drained = 0;
let most = 0;
const drain = await timed(async () => {
  for (let taken = await spool.take(500, 1e6); taken !== undefined; taken = await spool.take(500, 1e6)) {
    drained += taken.records.length;
    spool.acknowledge(taken.through);
    most = Math.max(most, process.memoryUsage.rss());
  }
});
row('drain from disk by 500', drain, plain.s);
await spool.close(60_000);
console.log(
  `\nrecovery: ${(bytesOnDisk / 1e9).toFixed(2)} GB in ${segments} segments opened in ${openedMs.toFixed(0)} ms, ${waiting} records wait; ` +
    `${drained} drained, at most ${Math.round(most / 1e6)} MB resident`,
);
if (drained !== records) throw new Error(`${drained} records came back of ${records}`);
