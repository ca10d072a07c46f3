/**
 * A real Kubernetes API server with its etcd, for slow tests: built by Go into the cache on first use, which takes 15 minutes on a free
 * machine and 5 GB. There are no controllers, so tests write ReplicaSets and the status of pods themselves.
 */
import { execFileSync } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Part, startChild, untilReady } from './child.ts';
import { kubernetesPrograms } from './fetch-kubernetes.ts';
import { freePort } from './free-port.ts';
import { fetchWithin } from './within.ts';

export interface KubeApiServer {
  readonly url: string;
  readonly port: number;
  /** The certificate of the authority, PEM. */
  readonly ca: string;
  /** Of a member of system:masters. */
  readonly adminToken: string;
  /** As administrator. Rejects with status and body for anything but 2xx. */
  call(method: string, path: string, body?: object): Promise<Record<string, unknown>>;
  readonly etcd: Part;
  freeze(): void;
  thaw(): void;
  /** SIGKILL; etcd goes on. */
  kill(): Promise<void>;
  /** On the same port, after `kill`. */
  restart(): Promise<void>;
  /** Drops all versions but the current one, so that older ones are answered with 410. */
  compact(): Promise<void>;
  stop(): Promise<void>;
}
const ADMIN_TOKEN = 'administrator-of-tests';

export async function startKubeApiServer(): Promise<KubeApiServer> {
  const programs = await kubernetesPrograms();
  const folder = await mkdtemp(join(tmpdir(), 'sluice-kube-'));
  const [port, etcdPort, peerPort] = [await freePort(), await freePort(), await freePort()];
  execFileSync('openssl', ['genrsa', '-out', 'accounts.key', '2048'], { cwd: folder, stdio: 'pipe' });
  execFileSync('openssl', ['rsa', '-in', 'accounts.key', '-pubout', '-out', 'accounts.pub'], {
    cwd: folder,
    stdio: 'pipe',
  });
  await writeFile(join(folder, 'tokens.csv'), `${ADMIN_TOKEN},admin,admin,system:masters\n`);

  const etcdUrl = `http://127.0.0.1:${etcdPort}`;
  const peerUrl = `http://127.0.0.1:${peerPort}`;
  const etcd = startChild(
    programs.etcd,
    flagsOf({
      'data-dir': join(folder, 'etcd'),
      'listen-client-urls': etcdUrl,
      'advertise-client-urls': etcdUrl,
      'listen-peer-urls': peerUrl,
      'initial-advertise-peer-urls': peerUrl,
      'initial-cluster': `default=${peerUrl}`,
      'unsafe-no-fsync': 'true',
      'log-level': 'warn',
    }),
  );
  await untilReady('etcd', etcd, async () => (await fetch(`${etcdUrl}/readyz`)).ok);

  let server: Part | undefined;
  const up = async (): Promise<void> => {
    server = startChild(
      programs.apiServer,
      flagsOf({
        'etcd-servers': etcdUrl,
        'bind-address': '127.0.0.1',
        'secure-port': String(port),
        'advertise-address': '127.0.0.1',
        'endpoint-reconciler-type': 'none', // it refuses an address of this machine only
        'cert-dir': join(folder, 'certs'),
        'authorization-mode': 'RBAC',
        'token-auth-file': join(folder, 'tokens.csv'),
        'service-account-issuer': 'https://kubernetes.default.svc',
        'service-cluster-ip-range': '10.96.0.0/16',
        'service-account-key-file': join(folder, 'accounts.pub'),
        'service-account-signing-key-file': join(folder, 'accounts.key'),
        'disable-admission-plugins': 'ServiceAccount',
      }),
    );
    await untilReady('kube-apiserver', server, async () => (await ask(port, 'GET', '/readyz')).status === 200, 120_000);
  };
  await up();
  return {
    url: `https://127.0.0.1:${port}`,
    port,
    ca: await readFile(join(folder, 'certs/apiserver.crt'), 'utf8'),
    adminToken: ADMIN_TOKEN,
    call: async (method, path, body) => {
      const { status, text } = await ask(port, method, path, body);
      if (status < 200 || status > 299) throw new Error(`${method} ${path}: ${status} ${text}`);
      return JSON.parse(text) as Record<string, unknown>;
    },
    etcd,
    freeze: () => server?.freeze(),
    thaw: () => server?.thaw(),
    kill: async () => server?.kill(),
    restart: up,
    compact: async () => compact(etcdUrl),
    stop: async () => {
      await server?.stop();
      await etcd.stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

const flagsOf = (flags: Readonly<Record<string, string>>): string[] =>
  Object.entries(flags).map(([name, value]) => `--${name}=${value}`);

function ask(port: number, method: string, path: string, body?: object): Promise<{ status: number; text: string }> {
  return new Promise((resolve, reject) => {
    const sent = request(
      {
        host: '127.0.0.1',
        port,
        method,
        path,
        rejectUnauthorized: false,
        headers: {
          authorization: `Bearer ${ADMIN_TOKEN}`,
          'content-type': method === 'PATCH' ? 'application/merge-patch+json' : 'application/json',
        },
      },
      (response) => {
        let text = '';
        response.setEncoding('utf8');
        response.on('data', (chunk: string) => (text += chunk));
        response.on('end', () => resolve({ status: response.statusCode ?? 0, text }));
      },
    );
    sent.on('error', reject);
    sent.end(body === undefined ? undefined : JSON.stringify(body));
  });
}

/** By etcd's JSON gateway. */
async function compact(etcdUrl: string): Promise<void> {
  const post = async (path: string, body: object): Promise<{ header?: { revision?: string } }> => {
    const response = await fetchWithin(`${etcdUrl}/v3/kv/${path}`, { method: 'POST', body: JSON.stringify(body) });
    if (!response.ok) throw new Error(`etcd: ${path}: ${response.status} ${await response.text()}`);
    return (await response.json()) as { header?: { revision?: string } };
  };
  const { header } = await post('range', { key: Buffer.from('/none').toString('base64') });
  await post('compaction', { revision: header?.revision ?? '', physical: true });
}
