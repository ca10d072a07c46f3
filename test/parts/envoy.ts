import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Part, startChild, untilReady } from './child.ts';
import { envoyProgram } from './fetch.ts';
import { fetchWithin } from './within.ts';

export interface EnvoyPart extends Part {
  /** Envoy's counters and gauges by name. */
  stats(): Promise<Record<string, number>>;
}

/** A real Envoy with the given bootstrap config; `adminPort` is the admin port in it. */
export async function startEnvoy(options: {
  readonly config: object;
  readonly adminPort: number;
  readonly args?: readonly string[];
}): Promise<EnvoyPart> {
  const program = await envoyProgram();
  const folder = await mkdtemp(join(tmpdir(), 'sluice-envoy-'));
  const file = join(folder, 'envoy.json');
  await writeFile(file, JSON.stringify(options.config));
  const admin = `http://127.0.0.1:${options.adminPort}`;
  const args = ['-c', file, '--concurrency', '1', '--disable-hot-restart', '--log-level', 'warn'];
  const part = startChild(program, [...args, ...(options.args ?? [])]);
  await untilReady('envoy', part, async () => (await fetch(`${admin}/ready`)).ok);
  return {
    ...part,
    stats: async () => {
      const { stats } = (await (await fetchWithin(`${admin}/stats?format=json`)).json()) as {
        stats: { name?: string; value?: number }[];
      };
      return Object.fromEntries(
        stats.flatMap(({ name, value }) => (name === undefined || typeof value !== 'number' ? [] : [[name, value]])),
      );
    },
    stop: async (graceMs) => {
      await part.stop(graceMs);
      await rm(folder, { recursive: true, force: true });
    },
  };
}
