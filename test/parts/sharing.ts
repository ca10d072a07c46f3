/**
 * Which test files may run after others in one process: starting a process for a file and loading its modules takes half a second of CPU
 * time, and 200 files have no need of their own.
 * **Out**: their paths, as globs find them.
 */
import { globSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';

const ROOT = resolve(import.meta.dirname, '../..');

/** Their tests call functions and look at what those return; no process, thread, server of the product or log outlives them. */
const FOLDERS = [
  'attributes',
  'candidate',
  'cli',
  'core',
  'envoy',
  'envoy-json',
  'explain',
  'expression',
  'frontends',
  'identity',
  'importers',
  'kubernetes',
  'inject',
  'mesh',
  'protos',
  'ratelimit',
  'rules',
  'text',
  'time',
  'traffic',
  'xds',
];

/** A file changes what its process has once, or measures it: others would see the change, or be measured. */
const NEEDS_ITS_OWN =
  /\bvi\.(?:spyOn|useFakeTimers|stub\w+|mock)|\bprocess\.(?:on|once|chdir|exit|removeAll\w*|memoryUsage|cpuUsage)\(|setFlagsFromString|node:(?:worker_threads|child_process)/;

export function sharingFiles(): string[] {
  return globSync(`test/unit/{${FOLDERS.join(',')}}/**/*.test.ts`, { cwd: ROOT }).filter(
    (file) => !NEEDS_ITS_OWN.test(readFileSync(join(ROOT, file), 'utf8')),
  );
}
