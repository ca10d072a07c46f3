/**
 * Compares `sluice ratelimit` with envoyproxy/ratelimit on random files, settings and requests: first the two readers on odd files, then
 * the two servers on valid ones. Needs Go and a checkout of the reference. A printed seed repeats its case. `npm run ratelimit:wide`.
 */
import { spawnSync } from 'node:child_process';
import { copyFile, mkdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { compareAnswers } from './ratelimit-wide/answers.ts';
import { compareFiles } from './ratelimit-wide/files.ts';

/** This project follows f2fb157 (July 2026); the module proxy has an older version, without metadata and stars within a value. */
const source = process.env['REFERENCE'];
if (source === undefined)
  throw new Error(
    'REFERENCE is not set; clone github.com/envoyproxy/ratelimit at f2fb157 and set REFERENCE to its folder',
  );
const number = (name: string, otherwise: number): number => Number(process.env[name] ?? otherwise);

const bin = resolve(import.meta.dirname, '../.cache/go/bin');
await mkdir(join(source, 'src/sluice_reader'), { recursive: true });
await mkdir(bin, { recursive: true });
await copyFile(join(import.meta.dirname, 'ratelimit-wide/reader.go'), join(source, 'src/sluice_reader/main.go'));
const [reader, server] = [join(bin, 'ratelimit-wide-reader'), join(bin, 'ratelimit-wide-server')];
for (const [program, part] of [
  [reader, './src/sluice_reader'],
  [server, './src/service_cmd'],
] as const) {
  const { status, error } = spawnSync('go', ['build', '-buildvcs=false', '-o', program, part], {
    cwd: source,
    stdio: 'inherit',
  });
  if (error !== undefined || status !== 0)
    throw new Error(`${part} of the reference cannot be built`, { cause: error });
}

const seed = number('SEED', 1);
const most = number('MOST', 10);
const files = await compareFiles(reader, seed, number('FILES', 20_000), most);
const answers = await compareAnswers(server, seed, number('WORLDS', 42), number('REQUESTS', 500), most);
process.exitCode = files + answers > 0 ? 1 : 0;
