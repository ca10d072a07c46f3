/** A client that dials an IP address by TLS: no name in the handshake, and a certificate for that address. */
import { readFile } from 'node:fs/promises';
import { createSecureServer } from 'node:http2';
import type { AddressInfo } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { dialGrpc } from '../../../src/transport/index.ts';
import { type Authority, makeAuthority } from '../../parts/certificates.ts';

let authority: Authority;
const warnings: string[] = [];
const onWarning = (warning: Error): void => void warnings.push(warning.message);
beforeAll(async () => {
  authority = await makeAuthority();
  process.on('warning', onWarning);
});
afterAll(async () => {
  process.off('warning', onWarning);
  await authority.remove();
});

/** The name that the client sent, and how its call ended. */
async function called(names: string, host: string): Promise<readonly [serverName: unknown, failure: string]> {
  const { cert, key } = await authority.issue('server', names);
  const server = createSecureServer({ cert: await readFile(cert), key: await readFile(key) });
  let serverName: unknown;
  server.on('secureConnection', (socket: TLSSocket) => (serverName = socket.servername));
  server.on('stream', (stream) => {
    stream.respond({ ':status': 200, 'content-type': 'application/grpc', 'grpc-status': '0' }, { endStream: true });
  });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  const { port } = server.address() as AddressInfo;
  const client = dialGrpc(`${host}:${port}`, { tls: { ca: await readFile(authority.ca) } });
  const failure = await client.unary('/a.B/C', new Uint8Array(), { timeoutMs: 5000 }).then(
    () => 'none',
    (error: Error) => error.message,
  );
  client.close();
  server.close();
  return [serverName, failure];
}

test('an IP address is not sent as a name, and the certificate has to be for it', async () => {
  const [serverName, failure] = await called('IP:127.0.0.1', '127.0.0.1');
  expect([serverName, failure]).toEqual([false, expect.not.stringContaining('altnames')]);
  const [, refused] = await called('IP:127.0.0.2,DNS:localhost', '127.0.0.1');
  expect(refused).toContain("IP: 127.0.0.1 is not in the cert's list");
  expect(warnings).toEqual([]);
});

test('a name is sent', async () => {
  expect((await called('DNS:localhost', 'localhost'))[0]).toBe('localhost');
});
