/** Certificates of callers: required or optional, and as handlers read them. */
import { createPublicKey, X509Certificate } from 'node:crypto';
import { connect as connectHttp2 } from 'node:http2';
import { connect, type ConnectionOptions, type TLSSocket } from 'node:tls';
import { afterEach, describe, expect, test } from 'vitest';
import { issue, keyPem, newKey, selfSignedRoot, signingCertificate } from '../../../src/identity/certificate.ts';
import type { Stranger, TlsOptions, Transport } from '../../../src/transport/index.ts';
import { framed } from '../../../src/transport/framed.ts';
import { TRANSPORTS, waitUntil } from './serving.ts';
import { TLS } from './tls-of-tests.ts';

interface Pair {
  readonly cert: string;
  readonly key: string;
}

/** A root, and certificates that it signs for callers. */
function authority(): { readonly ca: string; caller(name: string, ttlMs?: number): Pair } {
  const rootKey = newKey();
  const { pem } = selfSignedRoot({ key: rootKey, trustDomain: 'cluster.local', ttlMs: 86_400_000 }, Date.now());
  const signer = signingCertificate(new X509Certificate(pem), rootKey);
  return {
    ca: pem,
    caller(name, ttlMs = 3_600_000) {
      const key = newKey();
      const uri = `spiffe://cluster.local/ns/default/sa/${name}`;
      return {
        key: keyPem(key),
        cert: issue(signer, { publicKey: createPublicKey(key), uri, ttlMs: 3_600_000 }, Date.now() - 3_600_000 + ttlMs)
          .pem,
      };
    },
  };
}

const [ours, others] = [authority(), authority()];

let transport: Transport | undefined;
let strangers: Stranger[] = [];
afterEach(async () => {
  await transport?.drain(0);
  strangers = [];
});

describe.each(TRANSPORTS)('%s', (_transport, listen) => {
  const start = async (tls: TlsOptions | undefined): Promise<Transport> =>
    (transport = await listen(
      new Map([
        [
          '/t.T/Who',
          {
            kind: 'unary',
            handle: (_request, context) => Buffer.from(context.peerCertificate?.subjectAltName ?? 'nobody'),
          },
        ],
        [
          '/t.T/WhoStreams',
          {
            kind: 'stream',
            async *handle(_requests, context) {
              yield Buffer.from(context.peerCertificate?.subjectAltName ?? 'nobody');
            },
          },
        ],
      ]),
      {
        host: '127.0.0.1',
        port: 0,
        maxMessageBytes: 1024,
        onFault: () => {},
        onStranger: (stranger) => void strangers.push(stranger),
        ...(tls === undefined ? {} : { tls }),
      },
    ));

  /** The message of the reply; rejects if the connection ends without one. */
  async function asked(socket: TLSSocket, path = '/t.T/Who'): Promise<string> {
    const client = connectHttp2('https://127.0.0.1', { createConnection: () => socket });
    try {
      return await new Promise((resolve, reject) => {
        client.on('error', reject);
        client.on('close', () => reject(new Error('the connection was closed')));
        const stream = client.request({
          ':method': 'POST',
          ':path': path,
          'content-type': 'application/grpc',
          te: 'trailers',
        });
        stream.on('error', reject);
        const chunks: Buffer[] = [];
        stream.on('data', (chunk: Buffer) => chunks.push(chunk));
        stream.on('end', () => {
          if (chunks.length === 0) reject(new Error('the connection ended without a reply'));
          else resolve(Buffer.concat(chunks).subarray(5).toString());
        });
        stream.end(framed(new Uint8Array(0)));
      });
    } finally {
      client.destroy();
    }
  }

  const dialled = ({ port }: Transport, options: ConnectionOptions = {}): TLSSocket =>
    connect({ port, host: '127.0.0.1', servername: 'localhost', ca: TLS.cert, ALPNProtocols: ['h2'], ...options }).on(
      'error',
      () => {},
    );

  const OPTIONAL = { ...TLS, ca: ours.ca, clientCertificate: 'optional' } as const;

  test.each(['/t.T/Who', '/t.T/WhoStreams'])(
    'an optional certificate: %s serves callers with and without one',
    async (path) => {
      const server = await start(OPTIONAL);
      expect(await asked(dialled(server), path)).toBe('nobody');
      expect(await asked(dialled(server, ours.caller('a')), path)).toBe('URI:spiffe://cluster.local/ns/default/sa/a');
      expect(strangers).toEqual([]);
    },
  );

  test.each([
    ['of another authority', others.caller('a'), 'UNABLE_TO_GET_ISSUER_CERT_LOCALLY'],
    ['that signs itself', TLS, 'DEPTH_ZERO_SELF_SIGNED_CERT'],
    ['that has ended', ours.caller('a', -1000), 'CERT_HAS_EXPIRED'],
  ])('an optional certificate: one %s is refused, never taken for none', async (_what, pair, code) => {
    const server = await start(OPTIONAL);
    await expect(asked(dialled(server, pair))).rejects.toThrow();
    await waitUntil(() => strangers.length > 0, 'it is reported');
    expect(strangers).toMatchObject([
      { kind: 'handshake', why: expect.stringContaining('its certificate was rejected') as string },
    ]);
    expect(['UNABLE_TO_VERIFY_LEAF_SIGNATURE', code].some((one) => strangers[0]?.why?.includes(one))).toBe(true);
  });

  test('an optional certificate: the TLS of a client of version 1.2 is checked alike', async () => {
    const server = await start(OPTIONAL);
    const maxVersion = 'TLSv1.2';
    expect(await asked(dialled(server, { maxVersion }))).toBe('nobody');
    expect(await asked(dialled(server, { maxVersion, ...ours.caller('a') }))).toContain('/sa/a');
    await expect(asked(dialled(server, { maxVersion, ...others.caller('a') }))).rejects.toThrow();
  });

  test('a required certificate is read too; without one no call is served', async () => {
    const server = await start({ ...TLS, ca: ours.ca });
    expect(await asked(dialled(server, ours.caller('a')))).toContain('/sa/a');
    await expect(asked(dialled(server))).rejects.toThrow();
  });

  test('a certificate that nobody asked for proves nothing', async () => {
    const server = await start(TLS);
    expect(await asked(dialled(server, ours.caller('a')))).toBe('nobody');
  });

  test('after a renewal with another authority, its callers are served, and the old are refused, by a resumed session too', async () => {
    const server = await start(OPTIONAL);
    const old = ours.caller('a');
    const first = dialled(server, old);
    const session = new Promise<Buffer>((resolve) => {
      first.once('session', resolve);
    });
    expect(await asked(first)).toContain('/sa/a');
    const resumed = dialled(server, { ...old, session: await session });
    expect(await asked(resumed)).toContain('/sa/a');
    expect(resumed.isSessionReused()).toBe(true); // so that the next attempt is one
    server.renewTls({ ...OPTIONAL, ca: others.ca });
    expect(await asked(dialled(server, others.caller('b')))).toContain('/sa/b');
    await expect(asked(dialled(server, old))).rejects.toThrow();
    await expect(asked(dialled(server, { ...old, session: await session }))).rejects.toThrow();
    server.renewTls({ ...OPTIONAL, ca: [ours.ca, others.ca].join('') });
    expect(await asked(dialled(server, old))).toContain('/sa/a');
    expect(await asked(dialled(server, others.caller('b')))).toContain('/sa/b');
  });

  test('many callers with bad certificates leave no connection behind, and others are served', async () => {
    const server = await start(OPTIONAL);
    const bad = others.caller('a');
    const refused = Array.from({ length: 50 }, () =>
      asked(dialled(server, bad)).then(
        () => 'served',
        () => 'refused',
      ),
    );
    expect(await asked(dialled(server, ours.caller('b')))).toContain('/sa/b');
    expect(new Set(await Promise.all(refused))).toEqual(new Set(['refused']));
    await waitUntil(() => strangers.length === 50, 'all are reported');
    const beganAtMs = performance.now();
    await server.drain(10_000); // it would wait for an open connection
    expect(performance.now() - beganAtMs).toBeLessThan(5000);
  });
});
