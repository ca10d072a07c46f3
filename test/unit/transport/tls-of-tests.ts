/** Certificates for tests. */
import { execFileSync } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TlsOptions } from '../../../src/transport/index.ts';

/** CN=localhost, 127.0.0.1; valid until 2126, and only for tests. */
const KEY = `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg9gYHCOtTlgwKag48
wxOwllm1xG7RVDC52WSoxtABsvehRANCAASsuB9LgSta1Mi3aMaU1/cieSwb2T+W
ggWrrsE3ZWKeLLxP0DNXlHHeJgEyAyon6oun+D579QYxMziYgo3BdcnH
-----END PRIVATE KEY-----
`;
const CERT = `-----BEGIN CERTIFICATE-----
MIIBmzCCAUGgAwIBAgIUIRSpzJXx5Ior4kw1Kcc1veetF9wwCgYIKoZIzj0EAwIw
FDESMBAGA1UEAwwJbG9jYWxob3N0MCAXDTI2MTEyNDE0MzE0M1oYDzIxMjYxMDMx
MTQzMTQzWjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjO
PQMBBwNCAASsuB9LgSta1Mi3aMaU1/cieSwb2T+WggWrrsE3ZWKeLLxP0DNXlHHe
JgEyAyon6oun+D579QYxMziYgo3BdcnHo28wbTAdBgNVHQ4EFgQUgocmFHtwA8qY
MpouTIPByqCcPqMwHwYDVR0jBBgwFoAUgocmFHtwA8qYMpouTIPByqCcPqMwDwYD
VR0TAQH/BAUwAwEB/zAaBgNVHREEEzARgglsb2NhbGhvc3SHBH8AAAEwCgYIKoZI
zj0EAwIDSAAwRQIhAL5JfVFVDAomyDg3MfTbN/s3WtDR0DO3V7xLp6QdATkXAiBz
GOery4lG1yCV9yvcZlYQVj1hFeqE9AT0Cg53WUls8A==
-----END CERTIFICATE-----
`;

export const TLS = { cert: CERT, key: KEY } as const;

/** Another one of the same name. */
export async function anotherTls(): Promise<TlsOptions> {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-tls-'));
  execFileSync(
    'openssl',
    [
      'req',
      '-x509',
      '-newkey',
      'ec',
      '-pkeyopt',
      'ec_paramgen_curve:prime256v1',
      '-nodes',
      '-keyout',
      'key.pem',
      '-out',
      'cert.pem',
      '-days',
      '2',
      '-subj',
      '/CN=localhost',
    ],
    { cwd: folder, stdio: 'pipe' },
  );
  const [cert, key] = await Promise.all(
    ['cert.pem', 'key.pem'].map(async (name) => readFile(join(folder, name), 'utf8')),
  );
  await rm(folder, { recursive: true });
  return { cert: cert ?? '', key: key ?? '' };
}
