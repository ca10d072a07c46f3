import { createServer } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { expect, test } from 'vitest';
import { waitForEnvoy } from '../../../src/cli/actions/sidecar-wait.ts';
import { freePort } from '../../parts/free-port.ts';

test('waits until Envoy is live, through answers that it is not', async () => {
  let asked = 0;
  const envoy = createServer((request, response) => {
    response.writeHead(request.url === '/ready' && ++asked > 2 ? 200 : 503).end('PRE_INITIALIZING');
  }).listen(0, '127.0.0.1');
  await once(envoy, 'listening');
  try {
    const { port } = envoy.address() as AddressInfo;
    expect(await waitForEnvoy({ proxyAdminPort: String(port), timeoutSeconds: '30' })).toBe(0);
    expect(asked).toBe(3);
  } finally {
    envoy.close();
  }
});

test('gives up in time, and says why', async () => {
  const port = await freePort();
  await expect(waitForEnvoy({ proxyAdminPort: String(port), timeoutSeconds: '0.3' })).rejects.toThrow(
    /^Envoy is not ready after 0\.3 s: http:\/\/127\.0\.0\.1:\d+\/ready: .*ECONNREFUSED/,
  );
  await expect(waitForEnvoy({ proxyAdminPort: '1', timeoutSeconds: 'soon' })).rejects.toThrow('expected seconds');
  await expect(waitForEnvoy({ proxyAdminPort: 'x', timeoutSeconds: '1' })).rejects.toThrow('expected a port');
});
