/** `run: worker`: what ends a handler's process ends nothing else, and its process does not outlive the host. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { eventually } from '../../src/adapters/testing/index.ts';
import { type Serving, serving } from './command.ts';
import { type PeerClient, peerClient } from './peer-client.ts';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'sluice-worker-'));
  writeFileSync(
    join(folder, 'adapter.ts'),
    `import { allow, defineAdapter, deny, PERMISSION_DENIED } from 'sluice/plugin';
    import { z } from 'zod';
    const ENDS = {
      '/abort': () => process.abort(),
      '/exit': () => process.exit(3),
      '/loop': () => { for (;;); },
      '/heap': () => { const kept = []; for (;;) kept.push(new Array(1000).fill(1)); },
      '/buffers': () => { const kept = []; for (;;) kept.push(Buffer.alloc(1024 * 1024, 1)); },
      '/reject': () => void Promise.reject(new Error('nobody awaits this')),
    };
    export default defineAdapter({
      name: 'check-ends', summary: 'Ends its process.', config: z.strictObject({}),
      serves: { check: { input: { path: 'string' } } },
      open: async () => ({
        check: () => ({ path }) => {
          if (path === '/pid') return deny(PERMISSION_DENIED, 'pid ' + process.pid);
          ENDS[path]?.();
          return allow();
        },
      }),
    });`,
  );
  writeFileSync(
    join(folder, 'policy.yaml'),
    `plugins: [./adapter.ts]
handlers:
  ends: { adapter: check-ends, run: { worker: { memory: 96MiB } } }
  list: { adapter: check-list, config: { kind: prefix, values: [/list], blocks: true } }
rules:
  - { name: listed, check: { handler: list, input: { value: request.path } } }
  - { name: ended, check: { handler: ends, input: { path: request.path } }, onDeny: { body: "\${out.reason}" } }
`,
  );
});
afterAll(() => rmSync(folder, { recursive: true }));

async function server(): Promise<{ readonly host: Serving; readonly client: PeerClient }> {
  const host = await serving(['policy.yaml'], { cwd: folder });
  const client = peerClient(host.grpc);
  onTestFinished(async () => {
    client.close();
    await host.stop();
  });
  return { host, client };
}

const allowed = async (client: PeerClient, path: string): Promise<boolean> =>
  (await client.check({ path })).http_response === 'ok_response';

test.each([
  ['/abort', /was ended by SIGABRT/],
  ['/exit', /exited with code 3/],
  ['/loop', /was blocked for 1000 ms/],
  ['/heap', /needed .*than its limit|was blocked/],
  ['/buffers', /needed .*than its limit|was blocked/],
])(
  '%s ends the process of the handler alone; it is started again, and one line says why',
  async (path, why) => {
    const { host, client } = await server();
    expect(await allowed(client, '/')).toBe(true);
    expect(await allowed(client, path)).toBe(false);
    expect((await client.check({ path: '/list' })).denied_response?.status?.code).toBe('Forbidden');
    await host.said(/a handler ended; its calls fail until it is open again/);
    expect(host.err()).toMatch(why);
    await eventually(async () => expect(await allowed(client, '/')).toBe(true), 30_000);
    expect(host.err().match(/a handler ended/g)?.length).toBe(1);
    const { handlers } = (await (await fetch(`http://${host.admin}/handlers`)).json()) as {
      handlers: readonly { readonly name: string; readonly restarts: number }[];
    };
    expect(handlers.find(({ name }) => name === 'ends')?.restarts).toBeGreaterThanOrEqual(1);
  },
  60_000,
);

test('an error that nobody catches is logged with its plugin, and ends nothing', async () => {
  const { host, client } = await server();
  expect(await allowed(client, '/reject')).toBe(true);
  await host.said(/uncaught error in a plugin/);
  expect(await allowed(client, '/')).toBe(true);
});

test.each(['/', '/loop'])(
  'a host that is killed while %s runs leaves no process behind',
  async (path) => {
    const { host, client } = await server();
    let pid = 0;
    // On a busy machine the first answers may be late.
    await eventually(async () => {
      const { denied_response: denied } = await client.check({ path: '/pid' });
      expect(denied?.body).toMatch(/^pid \d+$/);
      pid = Number(denied?.body?.slice('pid '.length));
    }, 20_000);
    await new Promise((done) => {
      setTimeout(done, 2500); // the thread that watches the host runs by then
    });
    if (path === '/loop') void client.check({ path }).catch(() => undefined);
    host.signal('SIGKILL');
    await eventually(() => expect(isRunning(pid)).toBe(false), 20_000);
  },
  60_000,
);

/** A zombie is not. */
function isRunning(pid: number): boolean {
  try {
    return !/^State:\s+[ZX]/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
}
