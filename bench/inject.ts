/**
 * Injecting 1000 Deployments, each with names of its own, beside a round trip of their injected text through the YAML library.
 *
 *   node bench/inject.ts [RUNS]
 *
 * Time of the processor, by turns; the first run is not counted.
 */
import { parse, stringify } from 'yaml';
import { defaultMeshConfig } from '../src/inject/configs.ts';
import type { InjectConfig } from '../src/inject/contract.ts';
import { injectManifests } from '../src/inject/manifests.ts';
import { CONFIGS } from '../test/parts/inject-configs.ts';
import { median } from './figures.ts';

const DOCUMENTS = 1000;
const runs = Number(process.argv[2] ?? 5);

const deployment = (name: string, port: number): object => ({
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: { name, labels: { app: name, version: 'v1' } },
  spec: {
    replicas: 3,
    selector: { matchLabels: { app: name, version: 'v1' } },
    template: {
      metadata: { labels: { app: name, version: 'v1' } },
      spec: {
        serviceAccountName: name,
        containers: [
          {
            name: 'app',
            image: `registry.example/${name}:1.0.${port}`,
            ports: [{ containerPort: port }],
            env: [{ name: 'LOG_FOLDER', value: '/tmp/logs' }],
            volumeMounts: [{ name: 'tmp', mountPath: '/tmp' }],
          },
        ],
        volumes: [{ name: 'tmp', emptyDir: {} }],
      },
    },
  },
});
const text = Array.from({ length: DOCUMENTS }, (_, at) => stringify(deployment(`shop-${at}`, 8000 + (at % 4)))).join(
  '---\n',
);

async function* bytes(): AsyncGenerator<Uint8Array> {
  yield Buffer.from(text);
}

async function injected({ ...config }: InjectConfig): Promise<string> {
  let out = '';
  const options = { config, mesh: defaultMeshConfig(config.style), file: 'shop.yaml', onMessage: () => undefined };
  for await (const part of injectManifests(bytes(), options))
    out += typeof part === 'string' ? part : Buffer.from(part).toString();
  return out;
}

const whole = (await injected(CONFIGS['1.0'])).split('---\n').slice(0, -1);
const TASKS: Readonly<Record<string, () => unknown>> = {
  'the library, parse and stringify': () => whole.map((document) => stringify(parse(document))).length,
  'inject, style 1.0': async () => injected(CONFIGS['1.0']),
  'inject, style today': async () => injected(CONFIGS.today),
};

const times = new Map<string, number[]>(Object.keys(TASKS).map((name) => [name, []]));
for (let run = 0; run <= runs; run++)
  for (const [name, task] of Object.entries(TASKS)) {
    const start = process.cpuUsage();
    await task();
    const { user, system } = process.cpuUsage(start);
    if (run > 0) times.get(name)?.push((user + system) / 1000);
  }
const [library = Number.NaN] = [...times.values()].map(median);
console.log(`| ${DOCUMENTS} Deployments | CPU ms | of the library |\n|---|---:|---:|`);
for (const [name, all] of times)
  console.log(`| ${name} | ${Math.round(median(all))} | ${(median(all) / library).toFixed(2)} |`);
