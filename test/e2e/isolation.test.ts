/** `sluice serve` with a handler in a worker that loops or leaks: the process lives, and every other verdict is right. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { serving, type Serving } from './command.ts';
import { peerClient } from './peer-client.ts';

const POLICY = `
plugins: [${join(import.meta.dirname, '../parts/faulty/adapter.ts')}]
handlers:
  faulty: { adapter: check-faulty, run: { worker: { memory: 64MiB } }, deadline: 5s }
  steady: { adapter: check-steady }
rules:
  - { name: ask-faulty, match: 'request.path.startsWith("/faulty")', check: { handler: faulty, input: { path: request.path } } }
  - { name: ask-steady, check: { handler: steady, input: { path: request.path } } }
`;

let folder: string;
let policy: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'sluice-isolation-'));
  policy = join(folder, 'policy.yaml');
  writeFileSync(policy, POLICY);
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

interface State {
  readonly name: string;
  readonly ready: boolean;
  readonly runs: string;
  readonly restarts: number;
  readonly lastError: { readonly why: string } | null;
}

async function faulty(server: Serving): Promise<State> {
  const { handlers } = (await (await fetch(`http://${server.admin}/handlers`)).json()) as { handlers: State[] };
  return handlers.find(({ name }) => name === 'faulty') as State;
}

describe.each([
  ['one process', []],
  ['two workers', ['--workers', '2']],
])('in %s', (_, args) => {
  test.each([
    ['loops', '/faulty/loop', /it was blocked for 1000 ms/],
    ['leaks', '/faulty/leak-heap', /needed .*than its limit/],
  ])('a handler that %s is ended and started again; others answer meanwhile', async (_fault, path, why) => {
    const server = await serving([policy], { args });
    const client = peerClient(server.grpc);
    const codeOf = async (asked: string): Promise<number> => (await client.check({ path: asked })).status?.code ?? 0;
    try {
      expect(await codeOf('/faulty/fine')).toBe(0);
      const bad = client.check({ path });
      let hasEnded = false;
      const ended = bad.then(
        () => undefined,
        () => undefined,
      );
      void ended.then(() => {
        hasEnded = true;
      });
      let others = 0;
      while (!hasEnded) {
        expect(await Promise.all(['/a', '/b/no', '/later'].map(codeOf))).toEqual([0, 7, 0]);
        others++;
      }
      expect(others).toBeGreaterThan(1);
      await expect.poll(() => codeOf('/faulty/fine'), { timeout: 30_000 }).toBe(0);
      await expect
        .poll(() => faulty(server), { timeout: 30_000 })
        .toMatchObject({ ready: true, runs: 'worker', restarts: 1 });
      expect((await faulty(server)).lastError?.why).toMatch(why);
      const lines = server
        .err()
        .split('\n')
        .filter((line) => line.startsWith('{'))
        .map((line) => JSON.parse(line) as { level: string; msg: string; handler?: string })
        .filter(({ handler, level }) => handler === 'faulty' && level !== 'info');
      expect(lines.map(({ msg }) => msg)).toEqual(['a handler ended; its calls fail until it is open again']);
      const page = await (await fetch(`http://${server.admin}/metrics`)).text();
      expect(page).toMatch(/^sluice_handler_restarts_total\{handler="faulty"\} 1$/m);
    } finally {
      client.close();
      expect(await server.stop()).toBe(0);
    }
  });
});
