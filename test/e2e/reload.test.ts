/** Reloads of a policy under traffic. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { OwnLog } from '../../src/log/log.ts';
import { startServer } from '../../src/serve/policy/server.ts';
import { serving, type Serving } from './command.ts';
import { type PeerClient, peerClient } from './peer-client.ts';

const policy = (nth: number): string => `
handlers:
  limits: { adapter: quota-memory, config: {} }
rules:
  - name: closed
    match: request.path == "/closed"
    deny: { status: 403, body: "policy ${nth}" }
  - name: counted
    quota: { handler: limits, limit: 1000000, per: 1m, key: ['"all"'] }
  - name: told
    onAllow: { request: { set: { x-policy: "${nth}" } } }
`;

let folder: string;
let server: Serving;
let client: PeerClient;
const write = (text: string): void => writeFileSync(join(folder, 'policy.yaml'), text);

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'sluice-reload-'));
  write(policy(0));
  server = await serving([folder]);
  client = peerClient(server.grpc);
});
afterEach(async () => {
  client.close();
  await server.stop();
  rmSync(folder, { recursive: true, force: true });
});

const body = async (): Promise<string | undefined> => (await client.check({ path: '/closed' })).denied_response?.body;

describe('a reload', () => {
  test('ten of them lose no call, and every answer is of one policy', async () => {
    let isOver = false;
    const failures: string[] = [];
    let answered = 0;
    const traffic = Array.from({ length: 8 }, async () => {
      while (!isOver) {
        try {
          const [open, closed] = await Promise.all([
            client.check({ path: '/open' }),
            client.check({ path: '/closed' }),
          ]);
          if (open.http_response !== 'ok_response' || !/^policy \d+$/.test(closed.denied_response?.body ?? ''))
            failures.push(JSON.stringify([open, closed]));
          answered += 2;
        } catch (error) {
          failures.push(String(error));
        }
      }
    });
    for (let nth = 1; nth <= 10; nth += 1) {
      write(policy(nth));
      await expect.poll(body, { timeout: 50_000, interval: 20 }).toBe(`policy ${nth}`);
    }
    isOver = true;
    await Promise.all(traffic);
    expect(failures).toEqual([]);
    expect(answered).toBeGreaterThan(100);
  }, 60_000);

  test('an invalid policy is reported, and the last good one stays in force until it is fixed', async () => {
    const before = server.err().length;
    write(policy(1).replace('request.path == "/closed"', 'request.pth == "/closed"'));
    await server.said(/policy\.yaml:6:\d+ EXPRESSION_\w+/, before);
    expect(await body()).toBe('policy 0');
    const metrics = await (await fetch(`http://${server.admin}/metrics`)).text();
    expect(metrics).toMatch(/^sluice_policy_reloads_total\{result="refused"\} 1$/m);
    write(policy(2));
    await expect.poll(body, { timeout: 50_000 }).toBe('policy 2');
  });

  test('SIGHUP reloads, even without a change', async () => {
    const before = server.err().length;
    server.signal('SIGHUP');
    await server.said(/"msg":"policy loaded"/, before);
    expect(await body()).toBe('policy 0');
  });

  test('a removed file is an error like any other; the policy in force stays', async () => {
    const before = server.err().length;
    rmSync(join(folder, 'policy.yaml'));
    await server.said(/"msg":"the policy has errors/, before);
    expect(await body()).toBe('policy 0');
    write(policy(3));
    await expect.poll(body, { timeout: 50_000 }).toBe('policy 3');
  });

  test.each(['changed', 'with errors'])(
    'a policy (%s) that loads while the server stops is ignored, without an error',
    async (how) => {
      const said: string[] = [];
      const keep =
        (level: string) =>
        (message: string): void => {
          said.push(`${level} ${message}`);
        };
      const log: OwnLog = {
        debug: keep('debug'),
        info: keep('info'),
        warn: keep('warn'),
        error: keep('error'),
        with: () => log,
      };
      const late = await startServer({
        configs: [folder],
        grpc: { host: '127.0.0.1', port: 0 },
        admin: undefined,
        log,
        watch: true,
      });
      // Reading them takes longer than closing an idle port.
      for (let nth = 0; nth < 200; nth++)
        writeFileSync(
          join(folder, `rule-${nth}.yaml`),
          `rules: [{ name: r${nth}, match: 'request.host == "${nth}"', deny: {} }]\n`,
        );
      if (how === 'with errors')
        writeFileSync(join(folder, 'wrong.yaml'), 'rules: [{ name: wrong, match: "request.pth", deny: {} }]\n');
      const reloaded = late.reload();
      await late.drain();
      expect([await reloaded, said]).toEqual([false, []]);
      expect(await late.reload()).toBe(false);
    },
  );
});
