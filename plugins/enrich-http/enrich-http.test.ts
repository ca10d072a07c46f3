import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { type LookupAnswer, Rejected, Unavailable } from 'sluice/plugin';
import { openForTest, testAdapter, testCall } from 'sluice/plugin/testing';
import { type Answering, type HttpService, json, startHttpService } from '../../test/parts/http-service.ts';
import adapter from './adapter.ts';

const VALUES = {
  plan: { at: '/plan' },
  limit: { at: '/limits/perMinute', type: 'int' },
  groups: { at: '/groups', type: 'list<string>' },
};

let users: HttpService;
beforeAll(async () => {
  users = await startHttpService(({ path }, response) => {
    if (path === '/users/ann') json(response, { plan: 'gold', limits: { perMinute: 20 }, groups: ['a', 'b'] });
    else if (path === '/users/eve') json(response, { plan: null });
    else response.writeHead(404).end();
  });
});
afterAll(() => users.stop());

testAdapter(adapter, {
  runner: { describe, test },
  config: () => ({ url: users.url, values: VALUES }),
  unreachable: { url: 'http://127.0.0.1:1', values: VALUES },
  enrich: {
    params: { path: 'users/{user}' },
    known: [{ input: { user: 'ann' }, output: { plan: 'gold', limit: 20, groups: ['a', 'b'] } }],
    unknown: [{ user: 'bob' }, { user: 'eve' }],
  },
  badConfigs: [
    { config: { url: 'http://a', values: {} }, says: /expected at least one value/ },
    { config: { url: 'http://a', values: { 'a-b': { at: '' } } }, says: /values\.a-b: Invalid key in record/ },
    { config: { url: 'http://a', values: { a: { at: 'b' } } }, says: /values\.a\.at: expected a JSON pointer/ },
    { config: { url: 'http://a', values: { a: { at: '', type: 'uint' } } }, says: /values\.a\.type: Invalid option/ },
    { config: { url: 'a', values: VALUES }, says: /url: expected http/ },
  ],
});

async function looking(answer: Answering, config: object = {}, params: object = {}) {
  const service = await startHttpService(answer);
  const opened = await openForTest(adapter, { config: { url: service.url, values: VALUES, ...config } });
  onTestFinished(async () => {
    await opened.close();
    await service.stop();
  });
  const lookup = opened.handler.lookup?.({ rule: 'r', params: adapter.serves.enrich?.params?.parse(params) });
  return {
    ...opened,
    service,
    look: async (input: object = {}): Promise<LookupAnswer> => lookup?.({ ...input }, testCall()),
  };
}

describe('enrich-http', () => {
  test('gives values of every type', async () => {
    const document = {
      text: 'x',
      number: 5,
      exact: 0.5,
      yes: true,
      time: '2026-01-31T12:00:00Z',
      took: '1m30s',
      ip: '10.0.0.1',
      list: ['a', 1, true],
      map: { a: 'x', b: 2 },
    };
    const types = {
      text: 'string',
      number: 'int',
      exact: 'double',
      yes: 'bool',
      time: 'timestamp',
      took: 'duration',
      ip: 'ip',
      list: 'list<string>',
      map: 'map<string>',
    };
    const values = Object.fromEntries(Object.entries(types).map(([name, type]) => [name, { at: `/${name}`, type }]));
    const { look } = await looking((_, response) => json(response, document), {
      values: { ...values, whole: { at: '', type: 'any' }, number_as_text: { at: '/number' } },
    });
    expect(await look()).toMatchObject({
      values: {
        ...document,
        time: new Date('2026-01-31T12:00:00Z'),
        took: 90_000,
        list: ['a', '1', 'true'],
        map: { a: 'x', b: '2' },
        whole: document,
        number_as_text: '5',
      },
    });
  });

  test.each([
    [
      { limits: { perMinute: 'many' } },
      'limit, at /limits/perMinute of its answer: expected a whole number within 2^53, found "many"',
    ],
    [
      { limits: { perMinute: 1.5 } },
      'limit, at /limits/perMinute of its answer: expected a whole number within 2^53, found "1.5"',
    ],
    [{ plan: { name: 'gold' } }, 'plan, at /plan of its answer: expected text, found a list or a map'],
    [{ groups: 'a' }, 'groups, at /groups of its answer: expected a list'],
    [{ groups: [['a']] }, 'groups, at /groups of its answer: expected texts, numbers or booleans in it'],
    [{ groups: [null] }, 'groups, at /groups of its answer: expected texts, numbers or booleans in it'],
  ])('fails for %j, by the name of the value', async (document, says) => {
    const { look } = await looking((_, response) => json(response, document));
    await expect(look()).rejects.toThrow(Rejected);
    await expect(look()).rejects.toThrow(says);
  });

  test('knows nothing after a 404, for as long as that is valid', async () => {
    const { look } = await looking(
      (_, response) => void response.writeHead(404, { 'cache-control': 'max-age=7' }).end(),
    );
    expect(await look()).toMatchObject({ values: undefined, validForMs: 7000 });
    const own = await looking((_, response) => void response.writeHead(204).end(), { unknown: [204], validForMs: 9 });
    expect(await own.look()).toMatchObject({ values: undefined, validForMs: 9 });
  });

  test('says how long values are valid, by the answer or the params', async () => {
    const { look } = await looking((_, response) => json(response, {}, { 'cache-control': 'max-age=7', age: '2' }));
    expect(await look()).toMatchObject({ values: {}, validForMs: 5000 });
    const own = await looking((_, response) => json(response, {}), {}, { validForMs: 9 });
    expect(await own.look()).toMatchObject({ values: {}, validForMs: 9 });
    const none = await looking((_, response) => json(response, {}));
    expect(await none.look()).toMatchObject({ values: {}, validForMs: undefined });
  });

  test('fails for other statuses and for answers that are not JSON', async () => {
    const of = async (status: number, body = '{}'): Promise<unknown> => {
      const { look } = await looking((_, response) => void response.writeHead(status).end(body));
      return Promise.resolve(look()).catch((thrown: unknown) => thrown);
    };
    expect(await of(503)).toBeInstanceOf(Unavailable);
    expect(await of(403)).toMatchObject({ name: 'Rejected', message: 'it answered 403; expected 2xx, 404' });
    expect(await of(200, '<html>')).toMatchObject({
      name: 'Rejected',
      message: expect.stringMatching(/^its answer is not JSON/) as string,
    });
    expect(await of(200, `{"plan": ${'['.repeat(50)}${']'.repeat(50)}}`)).toMatchObject({
      message: 'its answer is JSON deeper than 32 levels',
    });
  });

  test('asks with the body of the input', async () => {
    const { look, service } = await looking(
      (_, response) => json(response, {}),
      {},
      { method: 'POST', path: 'search' },
    );
    await look({ body: { ids: ['a'] } });
    expect(service.requests).toMatchObject([{ method: 'POST', path: '/search', body: '{"ids":["a"]}' }]);
  });
});
