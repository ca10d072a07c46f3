/** What is said where a plugin cannot be reached over TLS: a real server, real certificates. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Connections } from '../../../../src/adapters/remote/connections.ts';
import type { DialFiles } from '../../../../src/adapters/remote/dial-target.ts';
import { pluginMethods } from '../../../../src/adapters/remote/plugin-service.ts';
import { listen, type TlsOptions, type Transport } from '../../../../src/transport/index.ts';
import { tlsProblem } from '../../../../src/transport/tls-problem.ts';
import { type Authority, makeAuthority } from '../../../parts/certificates.ts';

let own: Authority;
let other: Authority;
const servers: Transport[] = [];
const ports = { tls: 0, mutual: 0, clear: 0 };

async function serve(tls?: TlsOptions): Promise<number> {
  const server = await listen(new Map(pluginMethods([])), {
    host: '127.0.0.1',
    port: 0,
    maxMessageBytes: 1_000_000,
    onFault: (_, error) => {
      throw error;
    },
    ...(tls === undefined ? {} : { tls }),
  });
  servers.push(server);
  return server.port;
}
beforeAll(async () => {
  [own, other] = await Promise.all([makeAuthority(), makeAuthority()]);
  const [server] = await Promise.all([
    own.issue('server', 'IP:127.0.0.1,DNS:localhost'),
    own.issue('client', 'DNS:client'),
    other.issue('client', 'DNS:client'),
  ]);
  const [cert, key, ca] = [server.cert, server.key, own.ca].map((path) => readFileSync(path, 'utf8')) as [
    string,
    string,
    string,
  ];
  ports.tls = await serve({ cert, key });
  ports.mutual = await serve({ cert, key, ca });
  ports.clear = await serve();
  writeFileSync(join(own.folder, 'no.pem'), 'certificate');
});
afterAll(async () => {
  await Promise.all([...servers.map(async (one) => one.drain(0)), own.remove(), other.remove()]);
});

const client = ({ folder }: Authority, keyOf = folder): DialFiles => ({
  cert: join(folder, 'client.pem'),
  key: join(keyOf, 'client.key'),
});

test.each<[what: string, port: keyof typeof ports, tls: () => DialFiles | undefined, says: RegExp | undefined]>([
  ['all is right', 'tls', () => ({ ca: own.ca }), undefined],
  ['both have certificates', 'mutual', () => ({ ca: own.ca, ...client(own) }), undefined],
  ['the CA is another one', 'tls', () => ({ ca: other.ca }), /signed by no authority of tls\.ca/],
  ['there is no CA', 'tls', () => ({}), /signed by no authority of tls\.ca, or without it, of Node/],
  [
    'the name is another one',
    'tls',
    () => ({ ca: own.ca, serverName: 'shop' }),
    /for another name; correct the address, or set tls\.serverName \(Host: shop\. .*DNS:localhost\)$/,
  ],
  ['only the plugin speaks TLS', 'tls', () => undefined, /closes connections at once; it may speak TLS: set tls/],
  ['only the host speaks TLS', 'clear', () => ({ ca: own.ca }), /does not speak TLS there; correct the port/],
  [
    'the host has no certificate',
    'mutual',
    () => ({ ca: own.ca }),
    /asks for a client certificate; set tls\.cert and tls\.key|of tls\.cert, or ask for one/,
  ],
  [
    'the host has one of another CA',
    'mutual',
    () => ({ ca: own.ca, ...client(other) }),
    /refuses? the client certificate of tls\.cert(: unknown ca|: decrypt error|, or ask for one)$/,
  ],
  [
    'the key is of another certificate',
    'tls',
    () => ({ ca: own.ca, ...client(own, other.folder) }),
    /127\.0\.0\.1:\d+ cannot be reached over TLS: tls\.key is not the key of tls\.cert$/,
  ],
  ['a file is missing', 'tls', () => ({ ca: `${own.ca}.none` }), /tls\.ca cannot be read: .*ENOENT.*ca\.pem\.none/],
  ['a file has no PEM', 'tls', () => ({ ca: join(own.folder, 'no.pem') }), /tls\.ca: .*no\.pem is no PEM file$/],
])('where %s', async (_, port, tls, says) => {
  const described = new Connections(5000).describe({ address: `127.0.0.1:${ports[port]}`, tls: tls() });
  if (says === undefined) return expect(await described).toMatchObject({ contract: 1 });
  return expect(described).rejects.toMatchObject({ name: 'Unavailable', message: expect.stringMatching(says) });
});

test.each([
  ['certificate has expired', 'its certificate has expired'],
  [
    '40FD230D:error:0A000410:SSL routines:ssl3_read_bytes:sslv3 alert handshake failure:../deps/openssl/rec.c:918:SSL alert number 40\n',
    'TLS failed: sslv3 alert handshake failure (SSL routines)',
  ],
  ['connect ECONNREFUSED 127.0.0.1:1', undefined],
])('%j is said as %j', (text, says) => expect(tlsProblem(text)).toBe(says));
