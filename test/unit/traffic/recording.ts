/** Calls on their way through a file: decided by an engine, written, and read again. */
import { onTestFinished } from 'vitest';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { DecidedCall } from '../../../src/core/history/observers.ts';
import { TrafficProblems } from '../../../src/traffic/errors.ts';
import { type ReadCall, readCalls, type ReadOptions } from '../../../src/traffic/read-calls.ts';
import type { TestEngine } from '../core/engine-of.ts';

/** The calls that an engine decides from now on. */
export function observed({ engine }: TestEngine): DecidedCall[] {
  const all: DecidedCall[] = [];
  onTestFinished(
    engine.observe((decided) => {
      for (const { wire } of decided.bags) wire.keep();
      all.push(decided);
    }),
  );
  return all;
}

export async function tempFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-traffic-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

export async function fileOf(content: string | Buffer, name = 'calls.ndjson'): Promise<string> {
  const path = join(await tempFolder(), name);
  await writeFile(path, content);
  return path;
}

export async function readAll(
  paths: readonly string[],
  options: Partial<ReadOptions> = {},
): Promise<{ readonly calls: readonly ReadCall[]; readonly problems: TrafficProblems }> {
  const problems = new TrafficProblems();
  const calls: ReadCall[] = [];
  for await (const call of readCalls(paths, { problems, ...options })) calls.push(call);
  return { calls, problems };
}
