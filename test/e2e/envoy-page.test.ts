/** docs/envoy.md is kept true: its snippets, put together, are a bootstrap that a real Envoy accepts. */
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, expect, test } from 'vitest';
import { parse } from 'yaml';
import { envoyProgram } from '../parts/fetch.ts';

const folder = await mkdtemp(join(tmpdir(), 'sluice-envoy-page-'));
afterAll(() => rm(folder, { recursive: true, force: true }));

const page = await readFile(join(import.meta.dirname, '../../docs/envoy.md'), 'utf8');
const snippets = [...page.matchAll(/```yaml\n([\s\S]*?)```/g)].map(([, text = '']) => parse(text) as Record<string, unknown>);
const all = (key: string): object[] => snippets.flatMap((snippet) => (snippet[key] ?? []) as object[]);
const only = (key: string): object => snippets.find((snippet) => key in snippet)?.[key] as object;
const address = { socket_address: { address: '127.0.0.1', port_value: 0 } };

function bootstrap(): object {
  const manager = {
    '@type': 'type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager',
    stat_prefix: 'in',
    access_log: all('access_log'),
    http_filters: [...all('http_filters'), { name: 'router', typed_config: { '@type': 'type.googleapis.com/envoy.extensions.filters.http.router.v3.Router' } }],
    route_config: { virtual_hosts: [{ name: 'web', domains: ['*'], routes: [{ match: { prefix: '/' }, route: only('route'), typed_per_filter_config: only('typed_per_filter_config') }] }] },
  };
  return {
    static_resources: {
      listeners: [{ name: 'in', address, filter_chains: [{ filters: [{ name: 'hcm', typed_config: manager }] }] }],
      clusters: [...all('clusters'), { name: 'app', type: 'STATIC', load_assignment: { cluster_name: 'app' } }],
    },
  };
}

async function validated(config: object): Promise<string> {
  const file = join(folder, 'envoy.json');
  await writeFile(file, JSON.stringify(config));
  return promisify(execFile)(await envoyProgram(), ['--mode', 'validate', '-c', file]).then(({ stdout }) => stdout, (error: Error) => `refused: ${error.message}`);
}

test('Envoy accepts what the page shows, all of it together', async () => {
  expect(snippets).toHaveLength(6);
  expect(await validated(bootstrap())).toContain('OK');
});

test('Envoy refuses a field that it does not know, so the check can fail', async () => {
  const text = JSON.stringify(bootstrap()).replace('failure_mode_allow', 'failure_mode_permit');
  expect(await validated(JSON.parse(text) as object)).toContain('failure_mode_permit');
});
