/** Certificates on disk: read at the start, read again when they are renewed. */
import { execFileSync } from 'node:child_process';
import { copyFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { SILENT } from '../../../src/log/log.ts';
import { certificateFamilies, logInvalid, validityOf } from '../../../src/serve/certificate-validity.ts';
import { readTls, type TlsFiles, watchTls } from '../../../src/serve/tls-files.ts';
import type { TlsOptions } from '../../../src/transport/index.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sluice-tls-'));
  for (const name of ['old', 'new'])
    execFileSync(
      'openssl',
      `req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout ${name}.key -out ${name}.pem -days 2 -subj /CN=localhost`.split(
        ' ',
      ),
      { cwd: folder, stdio: 'pipe' },
    );
});
afterAll(() => rm(folder, { recursive: true }));

const at = (name: string): string => join(folder, name);

test('a missing file, and a key of another certificate, are errors that stop the start', async () => {
  await expect(readTls({ cert: at('none.pem'), key: at('old.key') })).rejects.toMatchObject({
    code: 'CLI_TLS_FILE',
    message: expect.stringContaining(`${at('none.pem')} cannot be read: `) as string,
  });
  await expect(readTls({ cert: at('old.pem'), key: at('new.key') })).rejects.toMatchObject({
    code: 'CLI_TLS_FILE',
    message: expect.stringContaining('are not a certificate and its key') as string,
  });
});

test('a renewed certificate is passed on; an equal one is not, a bad one is logged', async () => {
  const files: TlsFiles = { cert: at('served.pem'), key: at('served.key') };
  await copyFile(at('old.pem'), files.cert);
  await copyFile(at('old.key'), files.key);
  const renewed: TlsOptions[] = [];
  const errors: string[] = [];
  const log = { ...SILENT, error: (message: string) => void errors.push(message) };
  const watching = watchTls(files, await readTls(files), (tls) => void renewed.push(tls), log);
  await copyFile(at('old.pem'), files.cert);
  await writeFile(files.cert, 'no certificate');
  await vi.waitFor(
    () => expect(errors).toEqual(['the certificate could not be renewed; the last good one stays']),
    20_000,
  );
  await copyFile(at('new.pem'), files.cert);
  await copyFile(at('new.key'), files.key);
  const cert = await readFile(at('new.pem'), 'utf8');
  await vi.waitFor(() => expect(renewed.at(-1)?.cert).toBe(cert), 20_000);
  watching.close();
  expect(renewed).toHaveLength(1);
});

test('a certificate that has ended, or has not begun, is logged; a valid one is not', async () => {
  const chain = `${await readFile(at('old.pem'), 'utf8')}${await readFile(at('new.pem'), 'utf8')}`;
  const validity = validityOf(chain) ?? { fromMs: 0, toMs: 0 };
  expect(validity.toMs - validity.fromMs).toBe(2 * 86_400_000);
  const loggedAt = (nowMs: number): string[] => {
    const lines: string[] = [];
    logInvalid(
      chain,
      'served.pem',
      { error: (line, fields) => void lines.push(`${line} ${JSON.stringify(fields)}`) },
      nowMs,
    );
    return lines;
  };
  expect(loggedAt(Date.now() + 1000)).toEqual([]);
  expect(loggedAt(validity.toMs - 1)).toEqual([]);
  const ended = new Date(validity.toMs).toISOString();
  expect(loggedAt(validity.toMs)).toEqual([
    `the certificate has ended, so that clients refuse it; renew it {"file":"served.pem","ended":"${ended}"}`,
  ]);
  expect(loggedAt(validity.fromMs - 1)).toEqual([expect.stringContaining('not valid yet')]);
});

test('the metrics parse a chain once, and the next one when it is renewed', async () => {
  let served = await readFile(at('old.pem'));
  const families = certificateFamilies(() => served);
  const read = (): unknown[] => families.map((family) => family.read());
  const reading = vi.spyOn(served, 'toString');
  expect(read()).toEqual(read());
  expect(reading).toHaveBeenCalledTimes(1);
  served = await readFile(at('new.pem'));
  const renewed = vi.spyOn(served, 'toString');
  read();
  expect(renewed).toHaveBeenCalledTimes(1);
});
