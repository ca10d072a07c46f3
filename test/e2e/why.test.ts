/** docs/runbook.md, "Why was this refused at 3:12?", followed through a real Envoy. */
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { COMMAND } from '../parts/command-path.ts';
import { type Mesh, startMesh } from './mesh.ts';
import { until } from './sluice.ts';

const page = readFileSync(join(import.meta.dirname, '../../docs/runbook.md'), 'utf8');
const section = /## Why was this refused at 3:12\?\n(.*?)\n## /s.exec(page)?.[1] ?? '';
const policy = /```yaml\n(.*?)```/s.exec(section)?.[1] ?? '';
const WRITTEN_PATH = '/var/log/sluice/decisions.log';

let folder: string;
let file: string;
let mesh: Mesh;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sluice-why-'));
  file = join(folder, 'decisions.log');
  mesh = await startMesh(policy.replace(WRITTEN_PATH, file), { args: ['--workers', '2'] });
}, 60_000);
afterAll(async () => {
  await mesh.stop();
  await rm(folder, { recursive: true, force: true });
});

async function why(...args: readonly string[]): Promise<{ code: number; out: string; err: string }> {
  return new Promise((resolve) => {
    const child = execFile(process.execPath, [COMMAND, 'why', ...args], (error, out, err) => {
      resolve({ code: typeof error?.code === 'number' ? error.code : 0, out, err });
    });
    child.stdin?.end(args.includes('-') ? readFileSync(file) : '');
  });
}

const EXPECTED: readonly RegExp[] = [
  /^time +\d{4}-\d\d-\d\dT/m,
  /^outcome +deny$/m,
  /^rule +admin-is-closed$/m,
  /^at +\S+policy\.yaml:4$/m,
  /^revision +[0-9a-f]{12}$/m,
  /^path +\/admin\/users\?token=\(secret\)$/m,
  /^why\n {2}admin-is-closed: its match applies$/m,
  /^looked at\n {2}request\.url_path = \/admin\/users$/m,
];

test('a refusal is explained by the id in its response: from the server, from a file, from stdin', async () => {
  expect(section).toContain(`--log ${WRITTEN_PATH}`);
  const { status, headers } = await mesh.get('/admin/users?token=abcdef');
  const id = headers.get('x-request-id') ?? '';
  expect([status, id]).toEqual([403, expect.stringMatching(/^[0-9a-f-]{36}$/)]);
  await until('the line of the decision', async () => {
    const text = await readFile(file, 'utf8').catch(() => '');
    return text.includes(id) ? text : undefined;
  });
  const server = ['--to', `127.0.0.1:${mesh.sluice.adminPort}`];
  const answers = [await why(id, ...server), await why(id, '--log', file), await why(id, '--log', '-')];
  for (const { code, out } of answers) {
    expect(code).toBe(0);
    for (const line of EXPECTED) expect(out).toMatch(line);
    expect(out).not.toContain('abcdef');
  }
  const verdictId = /^id +(\S+)$/m.exec(answers[0]?.out ?? '')?.[1] ?? '';
  expect((await why(verdictId, '--log', file)).out).toBe(answers[1]?.out);
  expect(JSON.parse((await why(id, '--log', file, '--json')).out)).toMatchObject([{ id: verdictId, requestId: id }]);
}, 60_000);

test('a running server says which part of each condition decided, and has the access log entry', async () => {
  await mesh.sluice.admin('/verdicts'); // entries are indexed while operators look
  const { headers } = await mesh.get('/admin/users?token=abcdef');
  const id = headers.get('x-request-id') ?? '';
  const page = await until('the access log entry', async () => {
    const answer = await mesh.sluice.admin(`/verdicts/why?id=${id}`);
    const json = (await answer.json()) as { readonly entry: unknown };
    return json.entry === null ? undefined : json;
  });
  expect(page).toMatchObject({
    verdict: { requestId: id, outcome: 'deny', rule: 'admin-is-closed' },
    rules: [
      {
        name: 'admin-is-closed',
        action: 'deny',
        mode: 'enforce',
        result: 'applies',
        values: { 'request.url_path': '/admin/users' },
        why: 'request.url_path.startsWith("/admin")',
        decided: true,
      },
    ],
    answers: [],
    entry: { 'response.code': 403, 'request.id': id, 'request.path': '/admin/users?token=(secret)' },
    limits: [],
  });
  expect(JSON.stringify(page)).not.toContain('abcdef');
  const { out } = await why(id, '--to', `127.0.0.1:${mesh.sluice.adminPort}`);
  expect(out).toMatch(/^rules\n {2}admin-is-closed applies, and decided: /m);
  expect(out).toMatch(/^access log entry\n(?: {2}.*\n)* {2}response\.code = 403$/m);
}, 60_000);

test('an unknown id, a missing file and a server that is away are told apart', async () => {
  const away = await why('x', '--to', '127.0.0.1:1');
  const unknown = await why('nobody-has-this', '--to', `127.0.0.1:${mesh.sluice.adminPort}`);
  const missing = await why('x', '--log', join(folder, 'none.log'));
  expect([unknown.code, unknown.err]).toEqual([1, expect.stringContaining('no verdict with the id nobody-has-this')]);
  expect(away.err).toContain('CLI_UNREACHABLE');
  expect(missing.err).toContain('CLI_DECISION_LOG');
  expect([away.code, missing.code].every((code) => code > 1)).toBe(true);
}, 60_000);
