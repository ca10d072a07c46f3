import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Part, startChild, untilReady } from './child.ts';
import { prometheusProgram } from './fetch.ts';
import { freePort } from './free-port.ts';
import { fetchWithin } from './within.ts';

export interface PrometheusPart extends Part {
  /** The samples of an instant query; rejects with Prometheus' message if it cannot be evaluated. */
  query(query: string): Promise<readonly PrometheusSample[]>;
  get(path: string): Promise<unknown>;
}
export interface PrometheusSample {
  readonly metric: Readonly<Record<string, string>>;
  readonly value: readonly [time: number, value: string];
}

/** A real Prometheus that scrapes targets as the job `sluice`, each second by default. `rules`: the text of a file of rules. */
export async function startPrometheus(
  targets: string | readonly string[],
  { rules, intervalMs = 1000 }: { readonly rules?: string; readonly intervalMs?: number } = {},
): Promise<PrometheusPart> {
  const program = await prometheusProgram();
  const port = await freePort();
  const folder = await mkdtemp(join(tmpdir(), 'sluice-prometheus-'));
  const config = join(folder, 'prometheus.yml');
  await writeFile(join(folder, 'rules.yaml'), rules ?? 'groups: []\n');
  await writeFile(
    config,
    `global: { scrape_interval: ${intervalMs}ms, evaluation_interval: ${intervalMs}ms }
rule_files: [rules.yaml]
scrape_configs: [{ job_name: sluice, static_configs: [{ targets: ${JSON.stringify([targets].flat())} }] }]
`,
  );
  const part = startChild(program, [
    `--config.file=${config}`,
    `--storage.tsdb.path=${join(folder, 'data')}`,
    `--web.listen-address=127.0.0.1:${port}`,
    '--enable-feature=exemplar-storage',
  ]);
  const get = async (path: string): Promise<unknown> => {
    const answer = (await (await fetchWithin(`http://127.0.0.1:${port}/api/v1/${path}`)).json()) as {
      readonly status: string;
      readonly error?: string;
      readonly data: unknown;
    };
    if (answer.status !== 'success') throw new Error(`${path}: ${answer.error}`);
    return answer.data;
  };
  await untilReady('prometheus', part, async () =>
    fetch(`http://127.0.0.1:${port}/-/ready`).then(
      ({ ok }) => ok,
      () => false,
    ),
  );
  return {
    ...part,
    get,
    query: async (query) =>
      ((await get(`query?query=${encodeURIComponent(query)}`)) as { readonly result: readonly PrometheusSample[] })
        .result,
    stop: async (graceMs) => {
      await part.stop(graceMs);
      await rm(folder, { recursive: true, force: true });
    },
  };
}
