/** `sluice/plugin/serve`: adapters behind sluice.plugin.v1, from code. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { z } from 'zod';
import { allow, defineAdapter } from '../../../src/adapters/contract.ts';
import { Connections } from '../../../src/adapters/remote/connections.ts';
import type { DialFiles } from '../../../src/adapters/remote/dial-target.ts';
import { SILENT } from '../../../src/log/log.ts';
import { type PluginServer, serve, type ServeOptions } from '../../../src/serve/plugins/serve.ts';
import { dialGrpc } from '../../../src/transport/index.ts';
import { type Authority, makeAuthority } from '../../parts/certificates.ts';

const adapter = defineAdapter({
  name: 'check-all',
  summary: 'Allows all.',
  config: z.strictObject({}),
  serves: { check: { input: 'any' } },
  open: async () => ({ check: () => () => allow() }),
});

const folder = mkdtempSync(join(tmpdir(), 'sluice-serve-'));
let authority: Authority;
const servers: PluginServer[] = [];
beforeAll(async () => {
  authority = await makeAuthority();
});
afterEach(async () => {
  for (const server of servers.splice(0)) await server.drain();
});
afterAll(async () => {
  rmSync(folder, { recursive: true });
  await authority.remove();
});

async function served(options: Partial<ServeOptions>): Promise<string> {
  const server = await serve([adapter], { listen: '127.0.0.1:0', signals: false, log: SILENT, graceMs: 0, ...options });
  servers.push(server);
  return server.address;
}
const names = async (address: string, tls?: DialFiles): Promise<string[]> =>
  (await new Connections(1000).describe({ address, tls })).adapters.map(({ name }) => name);

test('a plugin behind TLS is reached with its authority, and asks for a certificate of the host if it says so', async () => {
  const { ca } = authority;
  const server = await authority.issue('plugin', 'DNS:plugin.internal');
  const host = await authority.issue('host', 'DNS:host.internal');
  const address = await served({ tls: { ...server, ca } });
  expect(await names(address, { ca, ...host, serverName: 'plugin.internal' })).toEqual(['check-all']);
  await expect(names(address, { ca, ...host })).rejects.toThrow(
    /cannot be reached over TLS: its certificate is for another name.*127\.0\.0\.1/,
  );
  await expect(names(address, { ...host, serverName: 'plugin.internal' })).rejects.toThrow(/over TLS: .*certificate/);
  await expect(names(address, { ca, serverName: 'plugin.internal' })).rejects.toThrow(
    /asks for a client certificate|or ask for one|broke/,
  );
  await expect(names(address)).rejects.toThrow(
    /127\.0\.0\.1:\d+ (closes connections at once; it may speak TLS|does not answer)/,
  );
  await expect(names(address, { ca: join(folder, 'none.pem') })).rejects.toThrow(/ENOENT.*none\.pem/);
});

test('it tells its health and its services, and refuses an adapter that is invalid before it listens', async () => {
  const address = await served({ listen: `unix:${join(folder, 'plugin.sock')}` });
  expect(address).toBe(`unix:${join(folder, 'plugin.sock')}`);
  const client = dialGrpc(address);
  expect(Buffer.from(await client.unary('/grpc.health.v1.Health/Check', new Uint8Array()))).toEqual(
    Buffer.from([8, 1]),
  );
  const services: string[] = [];
  for await (const reply of client.stream('/grpc.reflection.v1.ServerReflection/ServerReflectionInfo', [
    Buffer.from([0x3a, 0]),
  ]))
    services.push(Buffer.from(reply).toString('latin1'));
  expect(services.join('')).toContain('sluice.plugin.v1.Plugin');
  client.close();
  await expect(serve([{ ...adapter, summary: '' }], { listen: '127.0.0.1:0' })).rejects.toThrow(
    /the summary is missing/,
  );
  await expect(serve([adapter], { listen: 'nowhere' })).rejects.toThrow('"nowhere" is not an address');
});
