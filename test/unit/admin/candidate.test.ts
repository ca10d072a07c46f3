import { request } from 'node:http';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { HttpPort } from '../../../src/admin/http-app.ts';
import { startAdmin } from '../../../src/admin/server.ts';
import type { CandidateState, ChangeResult } from '../../../src/admin/sources.ts';
import { EMPTY_SOURCES } from './empty-sources.ts';

const STATE: CandidateState = {
  paths: ['/p/next.yaml'],
  share: 0.1,
  revision: undefined,
  loadedAtMs: 0,
  isInForce: false,
  refusal: undefined,
  report: undefined,
};

let admin: HttpPort;
let state: CandidateState | undefined;
let result: ChangeResult;
let asked: unknown[];

beforeEach(async () => {
  state = STATE;
  result = { revision: 'abc' };
  asked = [];
  admin = await startAdmin({
    host: '127.0.0.1',
    port: 0,
    onReset: () => {},
    onLetters: () => {},
    onFault: () => undefined,
    sources: {
      ...EMPTY_SOURCES,
      control: {
        candidate: async () => state,
        promote: async (revision, who) => {
          asked.push(['promote', revision, who]);
          return result;
        },
        rollback: async (steps, who) => {
          asked.push(['rollback', steps, who]);
          return result;
        },
      },
    },
  });
});
afterEach(() => admin.close());

async function post(path: string, headers: Readonly<Record<string, string>> = {}): Promise<[number, unknown]> {
  const answer = await fetch(`http://127.0.0.1:${admin.port}${path}`, { method: 'POST', headers });
  return [answer.status, await answer.json()];
}

describe('changes of the policy', () => {
  test('are passed on with who asks', async () => {
    expect(await post('/candidate/promote?revision=abc', { 'user-agent': 'sluice promote by ann' })).toEqual([
      200,
      { revision: 'abc' },
    ]);
    expect(await post('/policy/rollback?steps=3', { 'user-agent': 'x'.repeat(1000) })).toEqual([
      200,
      { revision: 'abc' },
    ]);
    expect(await post('/policy/rollback', { 'user-agent': 'curl' })).toEqual([200, { revision: 'abc' }]);
    expect(asked).toEqual([
      ['promote', 'abc', '127.0.0.1 sluice promote by ann'],
      ['rollback', 3, `127.0.0.1 ${'x'.repeat(200)}`],
      ['rollback', 1, '127.0.0.1 curl'],
    ]);
  });

  test('that are refused have a status, a sentence and findings', async () => {
    const finding = {
      severity: 'error',
      position: { file: '/p/a.yaml', line: 3, column: 7 },
      code: 'CORE_HANDLER_OPEN',
      message: 'is away',
      excerpt: undefined,
    } as const;
    result = { status: 409, error: 'it cannot be opened', findings: [finding] };
    const row = { at: '/p/a.yaml:3:7', severity: 'error', code: 'CORE_HANDLER_OPEN', message: 'is away' };
    expect(await post('/candidate/promote')).toMatchObject([409, { error: 'it cannot be opened', findings: [row] }]);
  });

  test.each([
    ['/policy/rollback?steps=0', 'steps is 0; expected a whole number from 1'],
    ['/policy/rollback?steps=1.5', 'steps is 1.5; expected a whole number from 1'],
    ['/policy/rollback?step=2', 'unknown parameter step; expected steps'],
    ['/candidate/promote?rev=2', 'unknown parameter rev; expected revision'],
    ['/candidate/promote?revision=2&revision=3', 'revision is given twice'],
  ])('%s is refused', async (path, error) => {
    expect(await post(path)).toEqual([400, { error }]);
    expect(asked).toEqual([]);
  });

  test('come from the page of this port, and from no other page', async () => {
    const own = `http://127.0.0.1:${admin.port}`;
    expect(await from(own)).toBe(200);
    expect(await from('http://elsewhere.example')).toBe(403);
    expect(await from('http://127.0.0.1:1')).toBe(403);
    expect(await from('null')).toBe(403);
    expect(asked).toHaveLength(1);
  });

  test('are made by POST alone', async () => {
    for (const path of ['/candidate/promote', '/policy/rollback'])
      expect((await fetch(`http://127.0.0.1:${admin.port}${path}`)).status).toBe(405);
    expect(asked).toEqual([]);
  });
});

test('a server without a candidate says how to have one', async () => {
  state = undefined;
  const answer = await fetch(`http://127.0.0.1:${admin.port}/candidate`);
  expect([answer.status, await answer.json()]).toEqual([
    404,
    { error: 'there is no candidate; start the server with --candidate PATH' },
  ]);
});

test('a candidate that has not loaded is a page of nulls and zeros', async () => {
  const answer = await fetch(`http://127.0.0.1:${admin.port}/candidate`);
  expect(await answer.json()).toMatchObject({
    path: '/p/next.yaml',
    revision: null,
    loadedAt: null,
    refusal: null,
    share: 10,
    compared: 0,
    differing: 0,
    skipped: 0,
    byRule: [],
    samples: [],
  });
});

function from(origin: string): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    const { port } = admin;
    request({ host: '127.0.0.1', port, path: '/candidate/promote', method: 'POST', headers: { origin } }, (answer) =>
      resolve(answer.resume().statusCode),
    )
      .on('error', reject)
      .end();
  });
}
