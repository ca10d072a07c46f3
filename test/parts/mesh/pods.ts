/**
 * A mesh of pods, each in a network namespace of its own behind a real Envoy, with `sluice mesh --secure` and `sluice serve` on their node.
 * Needs root.
 */
import { chmod, mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { bootstrapOf } from '../../../src/mesh/sidecar/bootstrap.ts';
import { startChild, type Part, untilReady } from '../child.ts';
import { COMMAND } from '../command-path.ts';
import { envoyProgram } from '../fetch.ts';
import { ISSUER, tokenIssuer } from '../identity/secure-port.ts';
import { type Namespace, nodeAddress, type NodeAndPods, nodeAndPods, podAddress } from '../network-namespace.ts';
import { provenBy } from './proven-by.ts';

export interface PodSpec {
  readonly name: string;
  readonly namespace: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly type: 'sidecar' | 'router';
}

export interface PodMesh {
  readonly node: Namespace;
  readonly pods: readonly Namespace[];
  readonly folder: string;
  /** Puts these objects in force, and waits until each proxy has them. */
  apply(text: string): Promise<void>;
  /** Puts a policy of `sluice serve` in force. */
  enforce(text: string): Promise<void>;
  /** Counters of the proxy of a pod whose names match. */
  stats(at: number, filter: string): Promise<Readonly<Record<string, number>>>;
  /** What `sluice mesh` and `sluice serve` have printed. */
  printed(): string;
  stop(): Promise<void>;
}

const PROXY_USER = 1337;

export async function podMesh(options: {
  readonly pods: readonly PodSpec[];
  /** Objects that always hold. */
  readonly objects: string;
  readonly policy: string;
  /** Names of servers on the node. */
  readonly hosts: readonly string[];
  /** CA certificates that proxies trust. */
  readonly systemRoots: string;
  readonly meshConfig?: string;
}): Promise<PodMesh> {
  const { pods: specs, objects, policy, hosts, systemRoots, meshConfig = '{}' } = options;
  const folder = await mkdtemp(join(tmpdir(), 'sluice-pods-'));
  await chmod(folder, 0o755); // of the proxies' user, too
  const file = (name: string): string => join(folder, name);
  const tokens = await tokenIssuer();
  await mkdir(file('mesh'));
  await Promise.all([
    writeFile(file('mesh/objects.yaml'), objects),
    writeFile(file('mesh/task.yaml'), ''),
    writeFile(file('policy.yaml'), policy),
    writeFile(file('config.yaml'), meshConfig),
    writeFile(file('jwks.json'), JSON.stringify(tokens.jwks)),
    writeFile(file('hosts'), `127.0.0.1 localhost\n${nodeAddress(0)} ${hosts.join(' ')}\n`),
  ]);
  const spaces: NodeAndPods = await nodeAndPods(specs.length);
  const parts: Part[] = [];
  const inside = (space: Namespace, args: readonly string[]): Part => {
    const part = startChild('nsenter', ['-t', String(space.pid), '-n', ...args], {
      env: { ...process.env, NO_COLOR: '1' },
    });
    parts.push(part);
    return part;
  };
  const command = (args: string): Part => inside(spaces.node, [process.execPath, COMMAND, ...args.split(' ')]);
  const mesh = command(
    `mesh ${file('mesh')} --xds 0.0.0.0:15010 --admin 127.0.0.1:15020 --sluice sluice --secure 0.0.0.0:15012 ` +
      `--secure-names localhost --ca-folder ${file('ca')} --jwks ${file('jwks.json')} --token-issuer ${ISSUER} --meshConfigFile ${file('config.yaml')}`,
  );
  const engine = command(`serve ${file('policy.yaml')} --grpc 0.0.0.0:9091 --admin 127.0.0.1:9092`);
  const curl = async (space: Namespace, url: string): Promise<string> => space.run('curl', '-sS', '-m', '5', url);
  const json = async (url: string): Promise<Readonly<Record<string, unknown>>> =>
    JSON.parse(await curl(spaces.node, url)) as Readonly<Record<string, unknown>>;
  await untilReady('sluice mesh', mesh, async () => mesh.printed().includes('xDS '));
  await untilReady('sluice serve', engine, async () => engine.printed().includes('gRPC '));
  await chmod(file('ca'), 0o755);
  const envoy = await envoyProgram();
  const startProxy = async (at: number, { name, namespace, labels, type }: PodSpec): Promise<void> => {
    const space = spaces.pods[at] as Namespace;
    if (type === 'sidecar')
      await space.run(
        process.execPath,
        COMMAND,
        ...`iptables -p 15001 -u ${PROXY_USER} -m REDIRECT -i * -b * --style today --ipv6 off`.split(' '),
      );
    const config = bootstrapOf({
      member: {
        type,
        address: podAddress(at),
        pod: name,
        namespace,
        domain: `${namespace}.svc.cluster.local`,
        serviceCluster: name,
        metadata: { LABELS: labels, SERVICE_ACCOUNT: name, SYSTEM_ROOTS: systemRoots },
      },
      discovery: { host: nodeAddress(at), port: 15_012 },
      sluice: { host: nodeAddress(at), port: 9091 },
      adminPort: 15_000,
      connectMs: 1000,
      isDelta: true,
    });
    await writeFile(
      file(`${name}.json`),
      JSON.stringify(provenBy(await tokens.token(`${namespace}:${name}`), file('ca/root-cert.pem'), config)),
    );
    // A gateway opens ports below 1024.
    const user = type === 'sidecar' ? `setpriv --reuid ${PROXY_USER} --regid ${PROXY_USER} --clear-groups ` : '';
    const part = inside(space, [
      'unshare',
      '-m',
      'sh',
      '-c',
      `mount --bind ${file('hosts')} /etc/hosts && exec ${user}${envoy} -c ${file(`${name}.json`)} --concurrency 1 --disable-hot-restart --log-level warn`,
    ]);
    await untilReady(`envoy of ${name}`, part, async () => (await curl(space, '127.0.0.1:15000/ready')) === 'LIVE\n');
  };
  const synced = async (): Promise<void> =>
    untilReady('the newest state', mesh, async () => {
      const { version, proxies } = (await json('127.0.0.1:15020/mesh/proxies')) as {
        version: string;
        proxies: { state: string; version: string }[];
      };
      return (
        proxies.length === specs.length && proxies.every((one) => one.state === 'synced' && one.version === version)
      );
    });
  const versionOf = async (): Promise<unknown> => (await json('127.0.0.1:15020/mesh'))['version'];
  const replace = async (name: string, text: string): Promise<void> => {
    await writeFile(file('new'), text);
    await rename(file('new'), file(name));
  };
  await Promise.all(specs.map((spec, at) => startProxy(at, spec)));
  await synced();
  return {
    node: spaces.node,
    pods: spaces.pods,
    folder,
    async apply(text) {
      if ((await readFile(file('mesh/task.yaml'), 'utf8')) === text) return;
      const before = await versionOf();
      await replace('mesh/task.yaml', text);
      await untilReady('the new objects', mesh, async () => (await versionOf()) !== before);
      await synced();
    },
    async enforce(text) {
      if ((await readFile(file('policy.yaml'), 'utf8')) === text) return;
      const revision = async (): Promise<unknown> => (await json('127.0.0.1:9092/policy'))['revision'];
      const before = await revision();
      await replace('policy.yaml', text);
      process.kill(engine.pid, 'SIGHUP'); // nsenter has become the server
      await untilReady('the new policy', engine, async () => (await revision()) !== before);
    },
    async stats(at, filter) {
      const text = await curl(
        spaces.pods[at] as Namespace,
        `127.0.0.1:15000/stats?filter=${encodeURIComponent(filter)}`,
      );
      return Object.fromEntries(
        text
          .trim()
          .split('\n')
          .map((line) => {
            const colon = line.lastIndexOf(': ');
            return [line.slice(0, colon), Number(line.slice(colon + 2))] as const;
          }),
      );
    },
    printed: () => [mesh, engine].map((one) => one.printed()).join('\n'),
    async stop() {
      await Promise.all(parts.map((part) => part.stop()));
      await spaces.stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}
