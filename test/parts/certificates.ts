/** An authority and certificates that it signs, as PEM files. */
import { execFileSync } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface Authority {
  readonly folder: string;
  /** Its own certificate. */
  readonly ca: string;
  /** A certificate for these names, such as `DNS:localhost,IP:127.0.0.1`; its files are `NAME.pem` and `NAME.key`. */
  issue(name: string, subjectAltName: string): Promise<{ readonly cert: string; readonly key: string }>;
  /** A certificate for a key in PEM. */
  issueFor(key: string, name: string, subjectAltName: string): Promise<string>;
  remove(): Promise<void>;
}

const NEW_KEY = '-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes';

export async function makeAuthority(): Promise<Authority> {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-certificates-'));
  const file = (name: string): string => join(folder, name);
  const openssl = (command: string): void => {
    execFileSync('openssl', command.split(' '), { cwd: folder, stdio: 'pipe' });
  };
  const sign = async (name: string, subjectAltName: string): Promise<void> => {
    await writeFile(file(`${name}.names`), `subjectAltName=${subjectAltName}`);
    openssl(
      `x509 -req -in ${name}.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out ${name}.pem -days 2 -extfile ${name}.names`,
    );
  };
  openssl(`req -x509 ${NEW_KEY} -keyout ca.key -out ca.pem -days 2 -subj /CN=authority`);
  return {
    folder,
    ca: file('ca.pem'),
    async issue(name, subjectAltName) {
      openssl(`req ${NEW_KEY} -keyout ${name}.key -out ${name}.csr -subj /CN=${name}`);
      await sign(name, subjectAltName);
      return { cert: file(`${name}.pem`), key: file(`${name}.key`) };
    },
    async issueFor(key, name, subjectAltName) {
      await writeFile(file(`${name}.key`), key);
      openssl(`req -new -key ${name}.key -out ${name}.csr -subj /CN=${name}`);
      await sign(name, subjectAltName);
      return readFile(file(`${name}.pem`), 'utf8');
    },
    remove: () => rm(folder, { recursive: true, force: true }),
  };
}
