/** Log lines about unexpected peers: another protocol, silence, or a path around a proxy. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { TLS } from '../unit/transport/tls-of-tests.ts';
import { startSluiceRatelimit } from '../parts/ratelimits.ts';
import { serving } from './command.ts';
import { peerClient } from './peer-client.ts';

let folder: string;
let policyFile: string;
let tlsArgs: readonly string[];
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'sluice-peers-'));
  const write = (name: string, text: string): string => {
    writeFileSync(join(folder, name), text);
    return join(folder, name);
  };
  policyFile = write('policy.yaml', 'rules: [{ name: closed, deny: {} }]\n');
  tlsArgs = ['--tls-cert', write('cert.pem', TLS.cert), '--tls-key', write('key.pem', TLS.key)];
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function connected(address: string, octets?: Uint8Array): Promise<Socket> {
  const socket = connect(Number(address.split(':')[1]), '127.0.0.1')
    .on('error', () => {})
    .resume();
  await new Promise((resolve) => {
    socket.once('connect', resolve);
  });
  if (octets !== undefined) socket.write(octets);
  return socket;
}

/** The first bytes of a ClientHello of 512 bytes. */
const HALF_A_HELLO = Buffer.from([0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3]);

test.each([
  [
    'TLS',
    [],
    HALF_A_HELLO,
    /"peer":"127\.0\.0\.1:\d+".*a peer speaks TLS, but this port is cleartext; set --tls-cert and --tls-key/,
    'tls',
  ],
  [
    'HTTP/1',
    [],
    Buffer.from('GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n'),
    /"peer":"127\.0\.0\.1:\d+".*a peer speaks HTTP\/1.*http2_protocol_options/,
    'http1',
  ],
  [
    'cleartext',
    ['tls'],
    Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'),
    /"peer":"127\.0\.0\.1:\d+".*a peer speaks cleartext, but this port requires TLS/,
    'cleartext',
  ],
])(
  '%s at a port of something else is logged once with the address and what to do, and counted',
  async (_what, kind, octets, says, label) => {
    const server = await serving([policyFile], { args: kind.includes('tls') ? tlsArgs : [] });
    const sockets: Socket[] = [];
    try {
      for (let count = 0; count < 3; count++) sockets.push(await connected(server.grpc, octets));
      await server.said(says);
      await expect
        .poll(async () => (await fetch(`http://${server.admin}/metrics`)).text(), { timeout: 10_000 })
        .toMatch(new RegExp(`^sluice_refused_connections_total\\{kind="${label}"\\} 3$`, 'm'));
      expect(
        server
          .err()
          .split('\n')
          .filter((line) => says.test(line)),
      ).toHaveLength(1);
    } finally {
      for (const socket of sockets) socket.destroy();
      expect(await server.stop()).toBe(0);
    }
  },
);

test.each(['1', '2'])(
  'sluice ratelimit tells of them too, with %s workers',
  async (workers) => {
    const config = join(folder, `limits-${workers}`, 'ratelimit', 'config');
    mkdirSync(config, { recursive: true });
    writeFileSync(
      join(config, 'a.yaml'),
      'domain: d\ndescriptors: [{ key: k, rate_limit: { unit: hour, requests_per_unit: 1 } }]\n',
    );
    const server = await startSluiceRatelimit({
      RUNTIME_ROOT: join(folder, `limits-${workers}`),
      RUNTIME_SUBDIRECTORY: 'ratelimit',
      BACKEND_TYPE: 'memory',
      LOG_LEVEL: 'warn',
      SLUICE_WORKERS: workers,
    });
    const sockets: Socket[] = [];
    try {
      for (let count = 0; count < 4; count++)
        sockets.push(await connected(`127.0.0.1:${server.grpcPort}`, HALF_A_HELLO));
      await expect
        .poll(() => server.printed(), { timeout: 10_000 })
        .toMatch(/a peer speaks TLS, but this port is cleartext; set GRPC_SERVER_USE_TLS.*127\.0\.0\.1:\d+/);
      await expect
        .poll(async () => (await fetch(`http://127.0.0.1:${server.debugPort}/stats`)).text(), { timeout: 10_000 })
        .toMatch(/^ratelimit\.service\.refused_connections: 4$/m);
    } finally {
      for (const socket of sockets) socket.destroy();
      await server.stop();
    }
  },
  40_000,
);

test.each([
  ['one process', []],
  ['two workers', ['--workers', '2']],
])(
  'a TLS handshake that hangs does not keep the server from ending, in %s',
  async (_, args) => {
    const server = await serving([policyFile], { args: [...tlsArgs, ...args, '--grace', '20'] });
    const sockets = [await connected(server.grpc), await connected(server.grpc, HALF_A_HELLO)];
    const beganAtMs = performance.now();
    expect(await server.stop()).toBe(0);
    expect(performance.now() - beganAtMs).toBeLessThan(9000); // a handshake may take 10 s, and the grace is 20 s
    for (const socket of sockets) socket.destroy();
  },
  40_000,
);

test('requests through fewer proxies than settings.trustedHops are logged as a warning', async () => {
  const policy = join(folder, 'two-hops.yml');
  writeFileSync(
    policy,
    'settings: { trustedHops: 2 }\nrules: [{ name: far, match: origin.ip == ip("203.0.113.9"), deny: {} }]\n',
  );
  const server = await serving([policy]);
  const client = peerClient(server.grpc);
  try {
    const ask = async (): Promise<void> => {
      await client.check({ path: '/', headers: { 'x-forwarded-for': '203.0.113.9, 10.0.0.1' } });
    };
    const asking = setInterval(() => {
      void ask().catch(() => undefined);
    }, 20);
    await server
      .said(/"trustedHops":2,"needed":3,"requests":\d+,.*X-Forwarded-For has fewer entries/)
      .finally(() => clearInterval(asking));
    await ask();
  } finally {
    client.close();
    expect(await server.stop()).toBe(0);
  }
}, 40_000);
