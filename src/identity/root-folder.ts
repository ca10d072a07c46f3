/**
 * Roots in a folder: one file each, with its certificate and its key, and a file of all trusted certificates for clients.
 * **In**: a folder. **Out**: its roots, oldest first; a root is written as a whole or not at all.
 * **Fails**: with an {@link AuthorityError} that names the file and what to do.
 */
import type { Stats } from 'node:fs';
import { createPrivateKey, randomUUID } from 'node:crypto';
import { link, mkdir, open, readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { messageOf } from '../text/message-of.ts';
import { BACKDATED_MS, certificatesOf, keyPem, type SigningCertificate, signingCertificate } from './certificate.ts';
import { AuthorityError } from './authority-error.ts';
import type { RootTimes } from './root-rotation.ts';

export interface OwnRoot extends RootTimes {
  readonly number: number;
  readonly signer: SigningCertificate;
}

/** For clients, who need no key. */
const TRUSTED_FILE = 'root-cert.pem';
const NAME = /^ca-(\d{1,9})\.pem$/;
const DRAFT = /^\.(ca-\d{1,9}|root-cert)\.pem\.[0-9a-f-]{36}$/;
/** A younger draft may be that of another control plane. */
const DRAFT_MS = 60_000;
const statOf = (path: string): Promise<Stats | undefined> => stat(path).catch(() => undefined);
const fileOf = (number: number): string => `ca-${number}.pem`;
const READ_BY_OTHERS = 0o077;

export const ownRoot = (number: number, signer: SigningCertificate): OwnRoot => ({
  number,
  signer,
  madeAtMs: signer.certificate.validFromDate.getTime() + BACKDATED_MS,
  endsAtMs: signer.endsAtMs,
});

export class RootFolder {
  readonly #folder: string;

  constructor(folder: string) {
    this.#folder = folder;
  }

  get trustedFile(): string {
    return join(this.#folder, TRUSTED_FILE);
  }

  /** For its owner alone, if it is not there. Drafts with keys that a crash left behind are removed. */
  async create(): Promise<void> {
    try {
      await mkdir(this.#folder, { recursive: true, mode: 0o700 });
    } catch (error) {
      throw this.#unusable('created', error);
    }
    for (const name of await readdir(this.#folder).catch(() => [])) {
      const path = join(this.#folder, name);
      if (DRAFT.test(name) && Date.now() - ((await statOf(path))?.mtimeMs ?? Infinity) > DRAFT_MS)
        await rm(path, { force: true }).catch(() => undefined);
    }
  }

  async read(): Promise<readonly OwnRoot[]> {
    let names: readonly string[];
    try {
      names = await readdir(this.#folder);
    } catch (error) {
      throw this.#unusable('read', error);
    }
    const numbers = names.flatMap((name) => (NAME.test(name) ? [Number(NAME.exec(name)?.[1])] : []));
    return Promise.all(numbers.toSorted((a, b) => a - b).map((number) => this.#readRoot(number)));
  }

  /** False: another control plane has written a root of this number before. */
  async add({ number, signer }: OwnRoot, pem: string): Promise<boolean> {
    return this.#write(fileOf(number), `${pem}${keyPem(signer.key)}`, 0o600, link);
  }

  async writeTrusted(pem: string): Promise<void> {
    const now = await readFile(this.trustedFile, 'utf8').catch(() => undefined);
    if (now !== pem) await this.#write(TRUSTED_FILE, pem, 0o644, rename);
  }

  /** Files whose key others than their owner may read. */
  async openToOthers(roots: readonly OwnRoot[]): Promise<readonly string[]> {
    const paths = roots.map(({ number }) => join(this.#folder, fileOf(number)));
    const modes = await Promise.all(paths.map(async (path) => (await stat(path)).mode));
    return paths.filter((_path, at) => ((modes[at] ?? 0) & READ_BY_OTHERS) !== 0);
  }

  /** A root must not be lost with the power after it has signed. Some network file systems cannot do it, and keep names by themselves. */
  async #syncFolder(): Promise<void> {
    await using folder = await open(this.#folder, 'r');
    await folder.sync().catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EINVAL' && error.code !== 'ENOTSUP') throw error;
    });
  }

  #unusable(how: string, error: unknown): AuthorityError {
    return new AuthorityError(
      `the folder of the certificate authority, ${this.#folder}, cannot be ${how}: ${messageOf(error)}; give this user the right, or name another with --ca-folder`,
      error,
    );
  }

  async #readRoot(number: number): Promise<OwnRoot> {
    const path = join(this.#folder, fileOf(number));
    try {
      const text = await readFile(path, 'utf8');
      const [certificate] = certificatesOf(text);
      if (certificate === undefined) throw new Error('it has no certificate');
      return ownRoot(number, signingCertificate(certificate, createPrivateKey(text)));
    } catch (error) {
      throw new AuthorityError(
        `the root ${path} cannot be read: ${messageOf(error)}; restore the file, or, if no workload needs this root any more, remove it`,
        error,
      );
    }
  }

  async #write(
    name: string,
    text: string,
    mode: number,
    publish: (from: string, to: string) => Promise<void>,
  ): Promise<boolean> {
    const path = join(this.#folder, name);
    const draft = join(this.#folder, `.${name}.${randomUUID()}`);
    try {
      await using file = await open(draft, 'wx', mode);
      await file.writeFile(text);
      await file.sync();
      await publish(draft, path);
      await this.#syncFolder();
      return true;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
      throw new AuthorityError(
        `${path} cannot be written: ${messageOf(error)}; ${fixOf(error)}, or name another folder with --ca-folder`,
        error,
      );
    } finally {
      await rm(draft, { force: true }).catch(() => undefined);
    }
  }
}

function fixOf(error: unknown): string {
  const { code = '' } = error as NodeJS.ErrnoException;
  if (code === 'ENOSPC' || code === 'EDQUOT') return 'free space on its disk';
  return code === 'EROFS' ? 'mount its disk for writing' : 'give this user the right to write there';
}
