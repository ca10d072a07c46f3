/** Certificates of the workloads of a mesh, from a test's own authority, by the secret discovery service. */
import { readFile } from 'node:fs/promises';
import { ROOTS_SECRET, WORKLOAD_SECRET } from '../../../src/identity/contract.ts';
import { certificateResource, rootsResource } from '../../../src/identity/sds.ts';
import { listen } from '../../../src/transport/index.ts';
import { SECRET, XdsServer } from '../../../src/xds/index.ts';
import type { Authority } from '../certificates.ts';

export interface Issued {
  readonly certificate: string;
  readonly key: string;
}

/** `spiffe://cluster.local/ns/default/sa/ACCOUNT`, or another id. */
export const idOf = (account: string): string =>
  account.startsWith('spiffe://') ? account : `spiffe://cluster.local/ns/default/sa/${account}`;

export async function issued(authority: Authority, account: string): Promise<Issued> {
  const { cert, key } = await authority.issue(account.replaceAll(/[^a-z0-9-]/g, '-'), `URI:${idOf(account)}`);
  return { certificate: await readFile(cert, 'utf8'), key: await readFile(key, 'utf8') };
}

export interface SecretServer {
  readonly port: number;
  stop(): Promise<void>;
}

/** A node says by its metadata SERVICE_ACCOUNT whose certificate it gets. */
export async function startSecretServer(authority: Authority, accounts: readonly string[]): Promise<SecretServer> {
  const roots = rootsResource(ROOTS_SECRET, await readFile(authority.ca, 'utf8'));
  const certificates = new Map<string, Issued>();
  for (const account of accounts) certificates.set(account, await issued(authority, account));
  const server = new XdsServer({
    source: {
      connect: ({ metadata }) => {
        const own = certificates.get(metadata['SERVICE_ACCOUNT'] as string);
        const secrets =
          own === undefined ? [] : [certificateResource(WORKLOAD_SECRET, own.certificate, own.key), roots];
        return {
          resources: () => ({
            version: '1',
            byType: new Map([[SECRET, new Map(secrets.map((one) => [one.name, one]))]]),
          }),
        };
      },
    },
  });
  const transport = await listen(server.methods, {
    host: '127.0.0.1',
    port: 0,
    maxMessageBytes: 1 << 20,
    onFault: (path, error) => {
      throw new Error(path, { cause: error });
    },
  });
  return { port: transport.port, stop: () => transport.drain(200) };
}
