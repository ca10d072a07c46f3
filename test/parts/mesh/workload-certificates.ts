/** Certificates of workloads that a test makes by the authority of its mesh, or by another one. */
import { readFile } from 'node:fs/promises';
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
