/** The alerts of deploy/ beside a control plane: silent while it works, firing in the trouble that they name, and clear afterwards. */
import { connectStreams } from '../../src/transport/index.ts';
import { AdsClient } from '../parts/ads-client.ts';
import { startAlerting } from '../parts/alerts.ts';
import { serviceEntry } from '../parts/mesh/service-entry.ts';
import { startFakeKubeApi } from '../parts/fake-kube-api.ts';
import { type Ends, withEnds } from '../parts/with-ends.ts';
import { makeWorkspace } from '../parts/workspace.ts';
import { program } from './command.ts';
import { untilHolds } from './sluice.ts';

async function begin(ends: Ends, args: readonly string[] = [], kubeconfig?: string) {
  const folder = makeWorkspace();
  ends.push(() => folder.remove());
  const file = folder.write('mesh.yaml', serviceEntry('reviews', [{ address: '127.0.0.1' }]));
  const cluster = kubeconfig === undefined ? [] : ['--kubeconfig', folder.write('kubeconfig.yaml', kubeconfig)];
  const ports = ['xds', 'admin', 'secure'].flatMap((name) => [`--${name}`, '127.0.0.1:0']);
  const mesh = await program(['mesh', file, ...ports, ...cluster, ...args], /Ctrl-C stops it/);
  ends.push(() => mesh.stop());
  const at = (name: string): string => new RegExp(`${name} +(?:http://)?(127.0.0.1:\\d+)`).exec(mesh.err())?.[1] ?? '';
  const alerting = await startAlerting([at('admin')]);
  ends.push(() => alerting.stop());
  const firing = async (): Promise<string> => (await alerting.firing()).map(({ alertname }) => alertname).join();
  return { folder, at, firing };
}

withEnds('proxies that refuse, and files with errors', { timeout: 120_000 }, async ({ ends }) => {
  const { folder, at, firing } = await begin(ends);
  const [host = '', port] = at('xDS').split(':');
  const connection = await connectStreams({ host, port: Number(port) }, { withinMs: 20_000 });
  ends.push(async () => connection.close());
  const proxy = (name: string, refuses: boolean): AdsClient => {
    const id = `sidecar~127.0.0.1~${name}.default~default.svc.cluster.local`;
    return new AdsClient(connection, { id, isDelta: true, refuses, metadata: { INTERCEPTION_MODE: 'NONE' } });
  };
  const good = proxy('good', false);
  ends.push(() => good.close());
  await untilHolds(async () => (await firing()) === '', 20_000); // once it is scraped
  const bad = proxy('bad', true);
  await untilHolds(async () => (await firing()) === 'SluiceProxiesRefuse', 60_000);
  bad.close();
  await untilHolds(async () => (await firing()) === '', 60_000);

  folder.write('mesh.yaml', 'kind: Nothing\n');
  await untilHolds(async () => (await firing()) === 'SluiceMeshFilesRefused', 60_000);
  folder.write('mesh.yaml', serviceEntry('reviews', [{ address: '127.0.0.2' }]));
  await untilHolds(async () => (await firing()) === '', 60_000);
});

withEnds('a root that ends', { timeout: 60_000 }, async ({ ends }) => {
  const { firing } = await begin(ends, ['--self-signed-ca-cert-ttl', '480h', '--max-workload-cert-ttl', '24h']);
  await untilHolds(async () => (await firing()) === 'SluiceRootEnds', 40_000);
});

withEnds('an API server that is away', { timeout: 120_000 }, async ({ ends }) => {
  let api = await startFakeKubeApi();
  ends.push(() => api.stop());
  const cluster = { server: api.url, 'certificate-authority-data': Buffer.from(api.ca).toString('base64') };
  const kubeconfig = {
    'current-context': 'fake',
    contexts: [{ name: 'fake', context: { cluster: 'fake', user: 'sluice' } }],
    clusters: [{ name: 'fake', cluster }],
    users: [{ name: 'sluice', user: { token: 'any' } }],
  };
  const { firing } = await begin(ends, ['--root-config-maps', 'off'], JSON.stringify(kubeconfig));
  await untilHolds(async () => (await firing()) === '', 20_000);
  await api.stop();
  await untilHolds(async () => (await firing()) === 'SluiceMeshApiServerFails', 40_000);
  api = await startFakeKubeApi(api.port);
  await untilHolds(async () => (await firing()) === '', 60_000);
});
