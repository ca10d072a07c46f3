/**
 * An authority that signs by files of an administrator, under the names of Citadel.
 * **In**: paths of PEM files: roots, the signing certificate with its key, certificates between it and its root. **Out**: a source of
 * signing certificates, again when a file changes; all files are taken together or not at all.
 * **Fails**: with an {@link AuthorityError} when it is opened; later never: the last good files stay, and a line names the bad one.
 */
import { createPrivateKey, type X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import type { Log } from '../adapters/contract.ts';
import { stampsOf, startWatching } from '../files/watch.ts';
import { messageOf } from '../text/message-of.ts';
import { Throttle } from '../time/throttle.ts';
import type { SigningSet, SigningSource } from './authority.ts';
import { certificatePem, certificatesOf, type SigningCertificate, signingCertificate } from './certificate.ts';
import { AuthorityError } from './authority-error.ts';

export interface SigningFiles {
  /** `--root-cert`: the roots to trust; several during a rotation. */
  readonly rootCert: string;
  readonly signingCert: string;
  readonly signingKey: string;
  /** `--cert-chain`: between the signing certificate and its root. */
  readonly certChain?: string | undefined;
}

export interface SigningFilesOptions {
  readonly files: SigningFiles;
  readonly log: Log;
  readonly nowMs?: () => number;
  /** Poll interval of the files. */
  readonly everyMs?: number;
}

const DAY_MS = 24 * 3_600_000;
const LOOK_EVERY_MS = 3_600_000;
/** Of its life: then an administrator should act. */
const LEAST_LEFT = 0.2;

export async function openSigningFiles({
  files,
  log,
  nowMs = () => Date.now(),
  everyMs,
}: SigningFilesOptions): Promise<SigningSource> {
  const paths = Object.values(files).filter((path) => path !== undefined);
  const stamp = (): Promise<string> => stampsOf(paths);
  const known = await stamp();
  let current = await readSigningFiles(files, nowMs());
  const listeners = new Set<() => void>();

  async function take(): Promise<void> {
    let next: SigningSet;
    try {
      next = await readSigningFiles(files, nowMs());
    } catch (error) {
      log.error('the files of the certificate authority cannot be taken; the last good ones stay', {
        why: messageOf(error),
      });
      return;
    }
    const before = current;
    if (textOf(next) === textOf(before)) return;
    current = next;
    log.info('the files of the certificate authority were taken', {
      signs: next.signer.certificate.subject || 'an empty subject',
      ends: new Date(next.signer.endsAtMs).toISOString(),
      roots: next.roots.length,
    });
    if (!before.roots.some((root) => next.roots.includes(root)))
      log.warn(
        'all roots were replaced at once, so workloads with old and with new certificates refuse each other until all have renewed; ' +
          'next time, have --root-cert hold both for a while',
      );
    for (const listener of listeners) listener();
  }

  const soon = new Throttle({ periodMs: DAY_MS, nowMs });
  const warnOfEnd = (): void => {
    const { certificate, endsAtMs } = current.signer;
    const lifeMs = endsAtMs - certificate.validFromDate.getTime();
    if (endsAtMs - nowMs() < LEAST_LEFT * lifeMs && soon.admit() > 0)
      log.warn(
        'the signing certificate ends soon, and no workload gets a certificate that ends later; replace --signing-cert',
        {
          ends: new Date(endsAtMs).toISOString(),
        },
      );
  };
  warnOfEnd();
  const looking = setInterval(warnOfEnd, LOOK_EVERY_MS).unref();
  const watching = startWatching({ stamp, known, onChange: take, everyMs });
  return {
    get current() {
      return current;
    },
    onChange(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    async close() {
      clearInterval(looking);
      await watching.close();
    },
  };
}

async function readSigningFiles(files: SigningFiles, nowMs: number): Promise<SigningSet> {
  const roots = await certificatesIn(files.rootCert, '--root-cert');
  const notAuthority = roots.find(({ ca }) => !ca);
  if (notAuthority !== undefined)
    throw new AuthorityError(
      `--root-cert ${files.rootCert} has a certificate that is no authority (${shown(notAuthority)}); remove it`,
    );
  const signer = await signerOf(files);
  const between = files.certChain === undefined ? [] : await certificatesIn(files.certChain, '--cert-chain');
  const { chain, root } = chainOf(signer, between, roots, files);
  const first = [signer.certificate, ...chain, root].toSorted(laterFirst).at(-1);
  const endsAtMs = first?.validToDate.getTime() ?? 0;
  if (first !== undefined && endsAtMs <= nowMs)
    throw new AuthorityError(
      `the certificate ${shown(first)} between --signing-cert ${files.signingCert} and its root ended at ${first.validToDate.toISOString()}; replace it`,
    );
  // A leaf that outlives one of them would be refused.
  return { signer: { ...signer, endsAtMs }, chain: chain.map(certificatePem), roots: roots.map(certificatePem) };
}

/** From the signing certificate up to its root. */
function chainOf(
  { certificate }: SigningCertificate,
  between: readonly X509Certificate[],
  roots: readonly X509Certificate[],
  { rootCert, certChain }: SigningFiles,
): { readonly chain: readonly X509Certificate[]; readonly root: X509Certificate } {
  const chain: X509Certificate[] = [];
  for (let last = certificate; ;) {
    const itself = roots.find((root) => isSame(root, last));
    if (itself !== undefined) return { chain, root: itself };
    chain.push(last);
    // The same root may be there with two ends.
    const root = roots.filter((one) => hasIssued(one, last)).toSorted(laterFirst)[0];
    if (root !== undefined) return { chain, root };
    const next = between.find((one) => hasIssued(one, last) && !chain.some((known) => isSame(known, one)));
    if (next === undefined)
      throw new AuthorityError(
        `no certificate of --root-cert ${rootCert} has issued ${shown(last)}, nor has one of --cert-chain ${certChain ?? '(not given)'}; ` +
          `add its issuer ${nameText(last.issuer)} to one of them`,
      );
    last = next;
  }
}

const laterFirst = (a: X509Certificate, b: X509Certificate): number =>
  b.validToDate.getTime() - a.validToDate.getTime();
const isSame = (a: X509Certificate, b: X509Certificate): boolean => a.raw.equals(b.raw);
const hasIssued = (issuer: X509Certificate, one: X509Certificate): boolean =>
  issuer.ca && one.checkIssued(issuer) && one.verify(issuer.publicKey);

async function signerOf({ signingCert, signingKey }: SigningFiles): Promise<SigningCertificate> {
  const [certificate] = await certificatesIn(signingCert, '--signing-cert');
  const written = await textIn(signingKey, '--signing-key');
  let key;
  try {
    key = createPrivateKey(written);
  } catch (error) {
    // OpenSSL's message may quote no key, but says nothing of use either.
    throw new AuthorityError(`--signing-key ${signingKey} is no private key in PEM without a password`, error);
  }
  try {
    return signingCertificate(certificate as X509Certificate, key);
  } catch (error) {
    throw new AuthorityError(
      `--signing-cert ${signingCert} and --signing-key ${signingKey}: ${messageOf(error)}`,
      error,
    );
  }
}

async function certificatesIn(path: string, flag: string): Promise<readonly X509Certificate[]> {
  const text = await textIn(path, flag);
  try {
    return certificatesOf(text);
  } catch (error) {
    throw new AuthorityError(`${flag} ${path}: ${messageOf(error)}`, error);
  }
}

async function textIn(path: string, flag: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    throw new AuthorityError(`${flag} ${path} cannot be read: ${messageOf(error)}`, error);
  }
}

const shown = ({ subject, serialNumber }: X509Certificate): string =>
  subject ? nameText(subject) : `with the serial number ${serialNumber}`;
const nameText = (name: string): string => JSON.stringify(name.replaceAll('\n', ', '));
const textOf = ({ signer, chain, roots }: SigningSet): string =>
  [certificatePem(signer.certificate), '', ...chain, '', ...roots].join('\n');
