/** What operators read from a running server, with one engine and with several workers as one. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { CheckRequestSchema, CheckResponseSchema } from '../../gen/envoy/service/auth/v3/external_auth_pb.ts';
import { makeLog } from '../../src/log/log.ts';
import { type Server, startServer } from '../../src/serve/policy/server.ts';
import { dialGrpc } from '../../src/transport/index.ts';

const POLICY = `handlers:
  counts: { adapter: quota-memory }
  seen: { adapter: metrics-prometheus, config: { metrics: { checks_total: { kind: counter } } } }
rules:
  - name: no-deletes
    match: request.method == "DELETE"
    deny: { status: 403 }
  - name: no-drafts
    match: request.path.startsWith("/drafts/")
    deny: { status: 404 }
    mode: shadow
  - name: by-role
    match: request.headers["x-role"] == "guest"
    onError: allow
    deny: { status: 403 }
  - name: three-a-day
    match: request.path == "/limited"
    quota: { handler: counts, limit: 3, per: 1h, key: [request.host] }
  - name: counted
    calls: [http]
    report: { handler: seen, params: { metric: checks_total }, input: { value: 1.0 } }
  - name: never
    match: request.method == "BREW"
    deny: { status: 418 }
`;
const CHECK = '/envoy.service.auth.v3.Authorization/Check';

interface CountsRow {
  readonly name: string;
  readonly counts: Readonly<Record<string, unknown>> | null;
}

describe.each([1, 2])('with %i engine(s)', (count) => {
  let folder: string;
  let server: Server;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'sluice-live-'));
    await writeFile(join(folder, 'policy.yaml'), POLICY);
    server = await startServer({
      configs: [folder],
      ...(count === 1 ? {} : { workers: { count, log: { format: 'text', level: 'error' } } }),
      watch: true,
      graceMs: 1000,
      log: makeLog('text', 'error'),
      grpc: { host: '127.0.0.1', port: 0 },
      admin: { host: '127.0.0.1', port: 0 },
    });
  }, 60_000);
  afterAll(async () => {
    await server.drain();
    await rm(folder, { recursive: true, force: true });
  });

  /** Each over a connection of its own, so that all workers take some. */
  async function checked(method: string, path: string, headers: Record<string, string> = {}): Promise<number> {
    const client = dialGrpc(`127.0.0.1:${server.grpcPort}`);
    const http = { method, path, host: 'shop', headers: { 'x-role': 'admin', ...headers } };
    const request = create(CheckRequestSchema, { attributes: { request: { http } } });
    const answer = await client.unary(CHECK, toBinary(CheckRequestSchema, request), { timeoutMs: 5000 });
    client.close();
    return fromBinary(CheckResponseSchema, answer).status?.code ?? 0;
  }
  const page = async (path: string): Promise<unknown> =>
    (await fetch(`http://127.0.0.1:${server.adminPort}${path}`)).json();

  test('each rule says how often it applied, denied and failed, and when it last did', async () => {
    const beganAtMs = Date.now();
    const calls: [string, string, Record<string, string>?][] = [
      ...Array.from({ length: 6 }, (): [string, string] => ['DELETE', '/']),
      ...Array.from({ length: 4 }, (): [string, string] => ['GET', '/drafts/1']),
      ...Array.from({ length: 5 }, (): [string, string] => ['GET', '/limited']),
    ];
    for (const [method, path] of calls) await checked(method, path);
    const { rules } = (await page('/rules')) as { readonly rules: readonly CountsRow[] };
    const counts = new Map(rules.map((row) => [row.name, row.counts]));
    const lastAt = expect.stringMatching(/^\d{4}-\d\d-\d\dT/) as unknown;
    expect(counts.get('no-deletes')).toEqual({ applied: 6, denied: 6, failed: 0, shadowDenied: 0, lastAt });
    expect(counts.get('no-drafts')).toEqual({ applied: 4, denied: 0, failed: 0, shadowDenied: 4, lastAt });
    expect(counts.get('three-a-day')).toEqual({ applied: 5, denied: 2, failed: 0, shadowDenied: 0, lastAt });
    expect(counts.get('counted')).toEqual({ applied: 15, denied: 0, failed: 0, shadowDenied: 0, lastAt });
    expect(counts.get('never')).toEqual({ applied: 0, denied: 0, failed: 0, shadowDenied: 0, lastAt: null });
    const last = Date.parse(String(counts.get('counted')?.['lastAt']));
    expect(last).toBeGreaterThanOrEqual(beganAtMs - 5);
    expect(last).toBeLessThanOrEqual(Date.now() + 5);
  });
});
