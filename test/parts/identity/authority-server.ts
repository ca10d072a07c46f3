/** An authority at a port as agents call it, whose roots, tokens and answers a test chooses. */
import { createPublicKey } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Authority } from '../../../src/identity/authority.ts';
import { Callers } from '../../../src/identity/callers.ts';
import { keyPem, newKey } from '../../../src/identity/certificate.ts';
import { CertificateService } from '../../../src/identity/service.ts';
import { accountOf } from '../../../src/identity/token-accounts.ts';
import { listen, type Methods, type Transport } from '../../../src/transport/index.ts';
import { lines, type Lines } from './lines.ts';
import { TestRoots } from './test-roots.ts';

export interface AuthorityServer {
  readonly port: number;
  /** Files that it and its agents read; removed at the end. */
  readonly folder: string;
  readonly rootsFile: string;
  readonly authority: Authority;
  readonly callers: Callers;
  readonly service: CertificateService;
  readonly roots: TestRoots;
  readonly log: Lines;
  /** How each caller was known. */
  readonly asked: ('certificate' | 'token')[];
  /** Answers wait for it. */
  gate: Promise<unknown>;
  /** The path of a file with a token for this account of the namespace `default`. */
  tokenFor(account: string): Promise<string>;
  /** All tokens are replaced, in their files too. */
  replaceTokens(): Promise<void>;
  /** The file has the roots of now, as has the port. */
  publishRoots(): Promise<void>;
  /** The port is closed; `start` opens it again. */
  stop(): Promise<void>;
  start(): Promise<void>;
  remove(): Promise<void>;
}

export interface AuthorityServerOptions {
  readonly ttlMs: number;
  readonly maxConnectionAgeMs?: number;
  /** Beside the service, by the same callers. */
  readonly methods?: (callers: Callers, service: CertificateService, authority: Authority) => Methods;
}

export async function startAuthority({
  ttlMs,
  maxConnectionAgeMs,
  methods,
}: AuthorityServerOptions): Promise<AuthorityServer> {
  const log = lines();
  const folder = await mkdtemp(join(tmpdir(), 'sluice-authority-'));
  const rootsFile = join(folder, 'roots.pem');
  const roots = new TestRoots();
  const authority = new Authority(roots, 'cluster.local', { defaultMs: ttlMs, maxMs: 86_400_000 });
  const tokens = new Map<string, string>();
  const callers = new Callers({
    trustDomain: 'cluster.local',
    aliases: [],
    tokens: [
      {
        verify: async (token) => accountOf(`system:serviceaccount:default:${tokens.get(token) ?? ''}`),
        close: async () => {},
      },
    ],
    log,
  });
  const service = new CertificateService({
    authority,
    log,
    async identityOf(context) {
      asked.push(context.peerCertificate === undefined ? 'token' : 'certificate');
      await server.gate;
      return callers.identityOf(context);
    },
  });
  const tls = () => {
    const key = newKey();
    const { chain } = authority.issue({
      uri: 'spiffe://cluster.local/ns/istio-system/sa/sluice',
      publicKey: createPublicKey(key),
      dnsNames: ['localhost'],
      ipAddresses: ['127.0.0.1'],
      ttlMs: 86_400_000,
    });
    const ca = authority.roots().join('');
    return { cert: chain.join(''), key: keyPem(key), ca, clientCertificate: 'optional' } as const;
  };
  const open = (port: number): Promise<Transport> =>
    listen(new Map([...service.methods, ...(methods?.(callers, service, authority) ?? [])]), {
      host: '127.0.0.1',
      port,
      tls: tls(),
      maxMessageBytes: 1 << 20,
      ...(maxConnectionAgeMs === undefined ? {} : { maxConnectionAgeMs }),
      onFault: (path, error) => log.error('fault', { path, error: String(error) }),
    });
  let transport = await open(0);
  const { port } = transport;
  const asked: AuthorityServer['asked'] = [];
  const token = (account: string): string => join(folder, `${account}.token`);
  const server: AuthorityServer = {
    port,
    folder,
    rootsFile,
    authority,
    callers,
    service,
    roots,
    log,
    asked,
    gate: Promise.resolve(),
    async tokenFor(account) {
      tokens.set(`token-of-${account}`, account);
      await writeFile(token(account), `token-of-${account}\n`);
      return token(account);
    },
    async replaceTokens() {
      const accounts = new Set(tokens.values());
      tokens.clear();
      for (const account of accounts) {
        tokens.set(`newer-token-of-${account}`, account);
        await writeFile(token(account), `newer-token-of-${account}`);
      }
    },
    async publishRoots() {
      transport.renewTls(tls());
      await writeFile(rootsFile, authority.roots().join(''));
    },
    stop: () => transport.drain(200),
    async start() {
      transport = await open(port);
    },
    async remove() {
      await transport.drain(200);
      await rm(folder, { recursive: true, force: true });
    },
  };
  await server.publishRoots();
  return server;
}
