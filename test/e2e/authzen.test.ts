/** AuthZEN 1.0: the certification scenario of the OpenID working group (basic, batch, discovery), and what a stranger may send. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type ServedSluice, serveSluice } from './sluice.ts';

/** The fixture of the scenario. */
const POLICY = `
handlers:
  gone: { adapter: quota-redis, config: { url: "redis://127.0.0.1:1" } }
attributes:
  my.admin: { is: 'authzen.subject.properties[?"role"] == optional.of("admin")' }
  my.archived: { is: 'authzen.resource.properties[?"status"] == optional.of("archived")' }
rules:
  - name: undecided
    match: authzen.resource.id == "error"
    quota: { handler: gone, limit: 1, per: 1h, key: [] }
    onError: { handler: error }
  - name: failed
    match: authzen.resource.id == "failed"
    quota: { handler: gone, limit: 1, per: 1h, key: [] }
    onError: { handler: deny }
  - name: read
    match: authzen.action.name == "read"
    allow: true
    onAllow: { metadata: { masked: "yes" } }
  - name: write
    match: 'authzen.action.name == "write" && (my.admin || authzen.subject.id == "alice" && !my.archived)'
    allow: true
  - name: delete
    match: authzen.action.name == "delete" && authzen.action.properties[?"soft"] == optional.of(true)
    allow: true
  - name: closed
    calls: [authzen]
    deny: { unlessAllowed: true, body: not allowed }
`;

let sluice: ServedSluice;
beforeAll(async () => {
  const url = 'https://pdp.example.com/tenant1';
  const routes = ['--http-route', '/access/v1=authzen', '--http-route', `/tenant1/access/v1=authzen,url=${url}`];
  sluice = await serveSluice(POLICY, { args: ['--http', '127.0.0.1:0', ...routes] });
});
afterAll(async () => sluice.stop());

const base = (): string => `http://127.0.0.1:${sluice.httpPort}`;
const post = (path: string, body: unknown, headers: Readonly<Record<string, string>> = {}): Promise<Response> =>
  fetch(`${base()}/access/v1/${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  });
async function decided(path: string, body: unknown): Promise<unknown> {
  const answer = await post(path, body);
  expect([answer.status, answer.headers.get('content-type')]).toEqual([200, 'application/json']);
  return answer.json();
}
async function decisionsOf(body: unknown): Promise<boolean[]> {
  const { evaluations } = (await decided('evaluations', body)) as { evaluations: { decision: boolean }[] };
  return evaluations.map(({ decision }) => decision);
}

const alice = { type: 'user', id: 'alice' };
const bob = { type: 'user', id: 'bob' };
const admin = { ...bob, properties: { role: 'admin' } };
const record = { type: 'record', id: 'record-1' };
const archived = { type: 'record', id: 'record-2', properties: { status: 'archived' } };
const [read, write] = [{ name: 'read' }, { name: 'write' }];

describe('one evaluation', () => {
  test.each([
    ['alice reads', { subject: alice, action: read, resource: record }, true],
    ['alice writes', { subject: alice, action: write, resource: record }, true],
    ['bob reads', { subject: bob, action: read, resource: record }, true],
    ['bob writes', { subject: bob, action: write, resource: record }, false],
    ['alice writes to an archived record', { subject: alice, action: write, resource: archived }, false],
    ['an admin writes to an archived record', { subject: admin, action: write, resource: archived }, true],
    [
      'a soft delete',
      { subject: alice, action: { name: 'delete', properties: { soft: true } }, resource: record },
      true,
    ],
    [
      'a hard delete',
      { subject: alice, action: { name: 'delete', properties: { soft: false } }, resource: record },
      false,
    ],
    ['with a context', { subject: alice, action: read, resource: record, context: { ip: '192.168.1.1' } }, true],
    ['with unknown fields', { subject: alice, action: read, resource: record, foo: 'bar', future: { a: 1 } }, true],
  ])('%s', async (_, request, decision) => {
    expect(await decided('evaluation', request)).toMatchObject({ decision });
    expect(await decided('evaluations', request)).toMatchObject({ decision });
    expect(await decided('evaluations', { ...request, evaluations: [] })).toMatchObject({ decision });
  });

  test('a decision says its verdict, rule and reason, and the metadata of rules', async () => {
    expect(await decided('evaluation', { subject: bob, action: write, resource: record })).toEqual({
      decision: false,
      context: { id: expect.stringMatching(/./) as string, rule: 'closed', status: 403, reason: 'not allowed' },
    });
    expect(await decided('evaluation', { subject: bob, action: read, resource: record })).toMatchObject({
      context: { metadata: { masked: 'yes' } },
    });
  });

  test('a rule that fails is a denial with an error, an engine that cannot decide is a 500', async () => {
    const failed = { subject: alice, action: read, resource: { type: 'record', id: 'failed' } };
    expect(await decided('evaluation', failed)).toMatchObject({
      decision: false,
      context: { rule: 'failed', error: { status: 503 } },
    });
    const answer = await post('evaluation', { ...failed, resource: { type: 'record', id: 'error' } });
    expect([answer.status, await answer.json()]).toEqual([500, expect.stringMatching(/^undecided could not/)]);
  });

  test.each([
    ['no subject', { action: read, resource: record }],
    ['no action', { subject: alice, resource: record }],
    ['no resource', { subject: alice, action: read }],
    ['no type of the subject', { subject: { id: 'alice' }, action: read, resource: record }],
    ['no id of the subject', { subject: { type: 'user' }, action: read, resource: record }],
    ['no name of the action', { subject: alice, action: {}, resource: record }],
    ['no type of the resource', { subject: alice, action: read, resource: { id: 'record-1' } }],
    ['no id of the resource', { subject: alice, action: read, resource: { type: 'record' } }],
    ['a text for a subject', { subject: 'alice', action: read, resource: record }],
    ['a number for a name', { subject: alice, action: { name: 123 }, resource: record }],
    ['a list for properties', { subject: { ...alice, properties: [] }, action: read, resource: record }],
    ['malformed JSON', '{"subject": '],
    ['an empty body', ''],
    ['a list', '[]'],
    ['values nested beyond reason', `{"context": ${'{"a":'.repeat(2000)}1${'}'.repeat(2000)}}`],
  ])('%s is a bad request', async (_, request) => {
    const answer = await post('evaluation', request);
    expect([answer.status, typeof (await answer.json())]).toEqual([400, 'string']);
  });

  test('another content type or method is refused', async () => {
    const request = JSON.stringify({ subject: alice, action: read, resource: record });
    expect((await post('evaluation', request, { 'content-type': 'text/plain' })).status).toBe(400);
    expect((await post('evaluation', request, { 'content-type': 'application/json; charset=utf-8' })).status).toBe(200);
    expect((await fetch(`${base()}/access/v1/evaluation`)).status).toBe(405);
    expect((await fetch(`${base()}/access/v1/search/subject`, { method: 'POST' })).status).toBe(404);
  });

  test('the request id is echoed, also with an error', async () => {
    const request = { subject: alice, action: read, resource: record };
    expect((await post('evaluation', request, { 'x-request-id': 'abc-1' })).headers.get('x-request-id')).toBe('abc-1');
    expect((await post('evaluation', '{', { 'x-request-id': 'abc-2' })).headers.get('x-request-id')).toBe('abc-2');
    expect((await post('evaluation', request)).headers.get('x-request-id')).toBeNull();
  });
});

describe('several evaluations', () => {
  test('defaults are filled, and parts of an item replace them', async () => {
    expect(
      await decisionsOf({ subject: bob, resource: record, evaluations: [{ action: read }, { action: write }] }),
    ).toEqual([true, false]);
    expect(
      await decisionsOf({ action: write, resource: archived, evaluations: [{ subject: alice }, { subject: admin }] }),
    ).toEqual([false, true]);
    expect(
      await decisionsOf({
        subject: alice,
        action: write,
        resource: { type: 'record', properties: { status: 'archived' } },
        evaluations: [{ resource: { id: 'record-1', properties: { status: 'active' } } }, { resource: archived }],
      }),
    ).toEqual([true, false]);
  });

  test('an item that is not complete is a denial with an error', async () => {
    expect(
      await decided('evaluations', { subject: alice, action: read, evaluations: [{ resource: record }, {}, 7] }),
    ).toMatchObject({
      evaluations: [
        { decision: true },
        { decision: false, context: { error: { status: 400 } } },
        { decision: false, context: { error: { status: 400 } } },
      ],
    });
  });

  test.each([
    ['execute_all', [true, false, true]],
    ['deny_on_first_deny', [true, false]],
    ['permit_on_first_permit', [true]],
  ])('%s', async (semantic, decisions) => {
    const evaluations = [{ action: read }, { action: write }, { action: read }];
    const request = { subject: bob, resource: record, options: { evaluations_semantic: semantic }, evaluations };
    expect(await decisionsOf(request)).toEqual(decisions);
  });

  test('an error stops deny_on_first_deny, and not permit_on_first_permit', async () => {
    const evaluations = [{ resource: { type: 'record', id: 'error' } }, { resource: record }];
    const request = { subject: alice, action: read, evaluations };
    const options = (semantic: string): object => ({ options: { evaluations_semantic: semantic } });
    expect(await decisionsOf({ ...request, ...options('deny_on_first_deny') })).toEqual([false]);
    expect(await decisionsOf({ ...request, ...options('permit_on_first_permit') })).toEqual([false, true]);
  });

  test('an unknown semantic, and too many items, are bad requests', async () => {
    const request = { subject: alice, action: read, resource: record, evaluations: [{}] };
    expect((await post('evaluations', { ...request, options: { evaluations_semantic: 'some' } })).status).toBe(400);
    expect((await post('evaluations', { ...request, evaluations: Array(1001).fill({}) })).status).toBe(400);
    expect(await decisionsOf({ ...request, evaluations: Array(1000).fill({}) })).toHaveLength(1000);
  });
});

test('the metadata names the endpoints, by the configured URL or the host of the request', async () => {
  const configuration = async (path: string): Promise<unknown> =>
    (await fetch(`${base()}/.well-known/authzen-configuration${path}`)).json();
  const own = `https://127.0.0.1:${sluice.httpPort}`;
  expect(await configuration('')).toEqual({
    policy_decision_point: own,
    access_evaluation_endpoint: `${own}/access/v1/evaluation`,
    access_evaluations_endpoint: `${own}/access/v1/evaluations`,
  });
  expect(await configuration('/tenant1')).toEqual({
    policy_decision_point: 'https://pdp.example.com/tenant1',
    access_evaluation_endpoint: 'https://pdp.example.com/tenant1/access/v1/evaluation',
    access_evaluations_endpoint: 'https://pdp.example.com/tenant1/access/v1/evaluations',
  });
});
