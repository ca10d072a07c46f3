import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { eventually } from '../../../src/adapters/testing/index.ts';
import type { KubeObject, ListWatchOptions, ResourceSink } from '../../../src/kubernetes/index.ts';
import { ListWatch } from '../../../src/kubernetes/index.ts';
import { answers, type FakeKubeApi, type FakeObject, startFakeKubeApi } from '../../parts/fake-kube-api.ts';
import { anotherTls } from '../transport/tls-of-tests.ts';

/** Keeps names, and what is called. */
class Names implements ResourceSink {
  readonly names = new Set<string>();
  readonly calls: string[] = [];
  #listed = new Set<string>();
  listing(): void {
    this.calls.push('listing');
    this.#listed = new Set();
  }
  put({ metadata }: KubeObject): void {
    this.calls.push(`put ${metadata?.name}`);
    this.names.add(metadata?.name ?? '');
    this.#listed.add(metadata?.name ?? '');
  }
  remove({ metadata }: KubeObject): void {
    this.calls.push(`remove ${metadata?.name}`);
    this.names.delete(metadata?.name ?? '');
  }
  *listed(): Generator<void> {
    this.calls.push('listed');
    for (const name of this.names) {
      if (!this.#listed.has(name)) this.names.delete(name);
      yield;
    }
  }
}

const pod = (name: string, more: object = {}): FakeObject => ({ metadata: { name, namespace: 'shop' }, ...more });
const names = (sink: Names): string[] => [...sink.names].toSorted();

let api: FakeKubeApi;
const open: { abort: AbortController; ended: Promise<void> }[] = [];
beforeEach(async () => {
  api = await startFakeKubeApi();
});
afterEach(async () => {
  for (const { abort } of open) abort.abort();
  await Promise.all(open.splice(0).map(({ ended }) => ended));
  await api.stop();
});

function start(options: Partial<ListWatchOptions> = {}) {
  const sink = new Names();
  const logged: string[] = [];
  const counts = { list: 0, watch: 0, event: 0, silence: 0, failure: 0, oversized: 0 };
  const count = (name: keyof typeof counts) => (): void => {
    counts[name]++;
  };
  const watch = new ListWatch({
    server: async () => ({ url: api.url, tls: { ca: api.ca } }),
    path: '/api/v1/pods',
    sink,
    log: {
      info: (message) => logged.push(message),
      warn: (message, { error }) => logged.push(`${message}: ${error instanceof Error ? error.message : ''}`),
    },
    meters: {
      list: count('list'),
      watch: count('watch'),
      event: count('event'),
      silence: count('silence'),
      failure: count('failure'),
      oversized: count('oversized'),
    },
    nowMs: () => performance.now(),
    backoff: { firstMs: 4, mostMs: 20 },
    ...options,
  });
  const abort = new AbortController();
  const ended = watch.run(abort.signal);
  ended.catch(() => undefined);
  open.push({ abort, ended: ended.catch(() => undefined) });
  return { watch, sink, logged, counts, ended, abort };
}
const synced = async ({ watch }: { watch: ListWatch }): Promise<void> =>
  eventually(() => expect([watch.isSynced, api.watching]).toEqual([true, 1]));

describe('a resource', () => {
  test('is listed in pages, then watched from the version of the list', async () => {
    for (let at = 0; at < 5; at++) api.put('pods', pod(`a${at}`));
    const run = start({ pageSize: 2, query: { labelSelector: 'a=b' } });
    api.always = ({ query }) => (query['labelSelector'] === 'a=b' ? undefined : answers(400));
    await eventually(() => expect(api.watching).toBe(1));
    expect(run.sink.calls).toEqual(['listing', 'listed']); // none has the label
    expect(api.lists()[0]?.query).toEqual({ labelSelector: 'a=b', limit: '2' });
    expect(api.watches()[0]?.query).toMatchObject({
      resourceVersion: '105',
      allowWatchBookmarks: 'true',
      labelSelector: 'a=b',
    });
    const seconds = Number(api.watches()[0]?.query['timeoutSeconds']);
    expect(seconds >= 300 && seconds <= 600).toBe(true);

    api.always = () => undefined;
    const all = start({ pageSize: 2 });
    await eventually(() => expect(api.watching).toBe(2));
    expect(names(all.sink)).toEqual(['a0', 'a1', 'a2', 'a3', 'a4']);
    expect(
      api
        .lists()
        .slice(-3)
        .map(({ query }) => query['continue']),
    ).toEqual([undefined, '1.2', '1.4']);
  });

  test('changes by events: added, modified, deleted', async () => {
    const run = start();
    await synced(run);
    api.put('pods', pod('a'));
    api.put('pods', pod('b'));
    api.put('pods', pod('a'));
    api.remove('pods', pod('b'));
    await eventually(() =>
      expect(run.sink.calls).toEqual(['listing', 'listed', 'put a', 'put b', 'put a', 'remove b']),
    );
    expect(run.counts).toEqual({ list: 1, watch: 1, event: 4, silence: 0, failure: 0, oversized: 0 });
  });

  test('is watched on from the last version, bookmarks included, when the server ends a watch or cuts it', async () => {
    const run = start();
    await synced(run);
    api.put('pods', pod('a'));
    await eventually(() => expect(names(run.sink)).toEqual(['a']));
    api.endWatchers();
    await eventually(() => expect(api.watches()[1]?.query['resourceVersion']).toBe('101'));
    await synced(run);
    api.put('replicasets', pod('other')); // moves the version on
    api.bookmark();
    await eventually(() => expect(run.counts.watch).toBe(2));
    await new Promise((resolve) => setTimeout(resolve, 50));
    api.cutWatchers();
    await eventually(() => expect(api.watches()[2]?.query['resourceVersion']).toBe('102'));
    expect([run.counts.list, run.counts.failure]).toEqual([1, 1]);
  });

  test('may have only its metadata', async () => {
    api.put('replicasets', pod('a', { spec: { replicas: 1 } }));
    const run = start({ path: '/apis/apps/v1/replicasets', metadataOnly: true });
    await synced(run);
    expect(names(run.sink)).toEqual(['a']);
    expect(api.requests.map(({ headers }) => headers.accept)).toEqual([
      'application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1, application/json',
      'application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1, application/json',
    ]);
  });
});

describe('a version that is too old', () => {
  test('in a watch: all is listed again, and what went in between is gone', async () => {
    api.put('pods', pod('a'));
    api.put('pods', pod('b'));
    const run = start();
    await synced(run);
    api.isFrozen = true;
    api.remove('pods', pod('a'));
    api.put('pods', pod('c'));
    api.expire();
    api.isFrozen = false;
    api.cutWatchers();
    await eventually(() => expect(names(run.sink)).toEqual(['b', 'c']));
    expect(run.counts.list).toBe(2);
    expect(run.logged.join()).not.toContain('too old');
  });

  test('between the pages of a list: it begins again, and the third time it is asked for in one piece', async () => {
    for (let at = 0; at < 6; at++) api.put('pods', pod(`a${at}`));
    api.always = ({ query }) => {
      if (query['continue'] !== undefined) api.expire();
      return undefined;
    };
    const run = start({ pageSize: 2 });
    await eventually(() => expect(run.watch.isSynced).toBe(true));
    expect(names(run.sink)).toHaveLength(6);
    expect(api.lists().map(({ query }) => [query['limit'], query['continue']])).toEqual([
      ['2', undefined],
      ['2', '1.2'],
      ['2', undefined],
      ['2', '2.2'],
      [undefined, undefined],
    ]);
    expect(run.sink.calls.filter((call) => call === 'listing')).toHaveLength(3);
  });

  test('of each list is a failure, told once', async () => {
    api.always = () => answers(410, 'gone');
    const run = start();
    await eventually(() => expect(run.counts.failure).toBeGreaterThan(3));
    expect(run.logged).toEqual([
      'the Kubernetes API cannot be watched; the last known state stays in use: the API server answers 410: gone',
    ]);
  });
});

describe('a failure', () => {
  test('is retried with back-off, and told when it begins and ends', async () => {
    api.always = () => answers(503, 'etcd is away');
    const run = start({ backoff: { firstMs: 10, mostMs: 40, random: () => 1 } });
    const began = performance.now();
    await eventually(() => expect(run.counts.failure).toBe(4));
    expect(performance.now() - began).toBeGreaterThanOrEqual(10 + 20 + 40 - 5);
    expect(run.watch.failure).toBe('the API server answers 503: etcd is away');
    expect(run.watch.isSynced).toBe(false);
    api.always = () => undefined;
    await synced(run);
    expect(run.watch.failure).toBeUndefined();
    expect(run.logged).toEqual([
      'the Kubernetes API cannot be watched; the last known state stays in use: the API server answers 503: etcd is away',
      'the Kubernetes API answers again',
    ]);
  });

  test('within a minute of one that was told is told when the minute is over, with its end', async () => {
    let nowMs = 0;
    const run = start({ nowMs: () => nowMs, backoff: { firstMs: 1, mostMs: 2 } });
    await synced(run);
    const fails = async (watches: number): Promise<void> => {
      api.toWatchers('{"type":"ERROR","object":{"kind":"Status","code":500,"message":"etcd"}}\n');
      await eventually(() => expect(run.counts.watch).toBe(watches));
      await eventually(() => expect(run.watch.failure).toBeUndefined());
    };
    await fails(2);
    expect(run.logged).toHaveLength(2);
    nowMs = 59_700;
    await fails(3);
    expect(run.logged).toHaveLength(2);
    await eventually(() => expect(run.logged).toHaveLength(4));
    expect(run.logged.slice(2)).toEqual(run.logged.slice(0, 2));
  });

  test('of one page does not begin the list again', async () => {
    for (let at = 0; at < 6; at++) api.put('pods', pod(`a${at}`));
    let failures = 0;
    api.always = ({ query }) => (query['continue'] === '1.2' && failures++ < 3 ? answers(429) : undefined);
    const run = start({ pageSize: 2 });
    await synced(run);
    expect(run.sink.calls.filter((call) => call === 'listing')).toHaveLength(1);
    expect(names(run.sink)).toHaveLength(6);
  });

  test('with Retry-After is not retried earlier', async () => {
    api.next.push(answers(429, 'slow down', { 'retry-after': '1' }));
    const began = performance.now();
    const run = start();
    await synced(run);
    expect(performance.now() - began).toBeGreaterThan(990);
  });

  test('of the rights is told with what to do', async () => {
    api.always = () => answers(403, 'pods is forbidden: User "system:serviceaccount:a:b" cannot list');
    const run = start();
    await eventually(() =>
      expect(run.watch.failure).toBe(
        'the API server answers 403: pods is forbidden: User "system:serviceaccount:a:b" cannot list; grant get, list and watch on this resource to this account',
      ),
    );
  });

  test('of the connection leaves what is known, and is over when the server is back', async () => {
    api.put('pods', pod('a'));
    const run = start();
    await synced(run);
    const { port } = api;
    await api.stop();
    await eventually(() => expect(run.watch.failure).toMatch(/ECONNREFUSED/));
    expect(names(run.sink)).toEqual(['a']);
    api = await startFakeKubeApi(port);
    api.put('pods', pod('b'));
    api.expire(); // versions of the other server are too old
    await eventually(() => expect(names(run.sink)).toEqual(['b']));
  });

  test('of a sink ends the watch, since it is a bug', async () => {
    api.put('pods', pod('a'));
    const sink = new Names();
    sink.put = () => {
      throw new Error('a bug');
    };
    await expect(start({ sink }).ended).rejects.toThrow('a bug');
  });

  test('of the credentials is told, and they are read again', async () => {
    api.token = 'new';
    let token = 'old';
    const run = start({ server: async () => ({ url: api.url, token, tls: { ca: api.ca } }) });
    await eventually(() =>
      expect(run.watch.failure).toMatch(/^the API server answers 401: Unauthorized; the server rejects the token/),
    );
    token = 'new';
    await synced(run);
    expect(run.logged.join()).not.toMatch(/old|new/);
  });

  test('of the certificate is told', async () => {
    const other = await anotherTls();
    const run = start({ server: async () => ({ url: api.url, tls: { ca: String(other.cert) } }) });
    await eventually(() => expect(run.watch.failure).toMatch(/self-signed certificate|unable to verify|signature/));
    expect(api.requests).toEqual([]);
  });
});

describe('a watch', () => {
  test('that is silent is opened again from its last version, and that is no failure', async () => {
    const run = start({ silentAfterMs: 200 });
    await synced(run);
    api.put('pods', pod('a'));
    await eventually(() => expect(run.counts.event).toBe(1));
    api.isFrozen = true; // it hangs, but answers others
    api.put('pods', pod('b'));
    await eventually(() => expect(run.counts.silence).toBe(1));
    api.isFrozen = false;
    await eventually(() => expect(names(run.sink)).toEqual(['a', 'b']));
    expect([api.watches()[1]?.query['resourceVersion'], run.counts.failure, run.logged]).toEqual(['101', 0, []]);
  });

  test('that is silent from its start may wait for a version that the server will never have: all is listed again', async () => {
    api.put('pods', pod('a'));
    const run = start({ silentAfterMs: 150 });
    await synced(run);
    const { port } = api;
    await api.stop();
    api = await startFakeKubeApi(port); // restored from a backup, at a lower version
    await eventually(() => expect(names(run.sink)).toEqual([]));
    await eventually(() => expect(run.watch.failure).toBeUndefined());
  });

  test('that is not answered at all is a failure', async () => {
    const run = start({ silentAfterMs: 500 });
    await synced(run);
    api.always = () => () => undefined;
    api.endWatchers();
    await eventually(() => expect(run.watch.failure).toBe('the API server is silent: nothing arrived for 500 ms'));
    api.always = () => undefined;
    await eventually(() => expect(run.watch.failure).toBeUndefined());
  });

  test('that has bookmarks only is not hung', async () => {
    const run = start({ silentAfterMs: 1000 });
    await synced(run);
    for (const until = performance.now() + 1300; performance.now() < until;) {
      api.bookmark();
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    expect([run.counts.watch, run.counts.failure]).toEqual([1, 0]);
  });

  test('that ends in the middle of a line is opened again, and the line counts for nothing', async () => {
    const run = start();
    await synced(run);
    api.toWatchers('{"type":"ADDED","object":{"metadata":{"name":"half"');
    await new Promise((resolve) => setTimeout(resolve, 30));
    api.endWatchers();
    await eventually(() => expect(run.counts.watch).toBe(2));
    api.put('pods', pod('a'));
    await eventually(() => expect(names(run.sink)).toEqual(['a']));
    expect(run.counts.list).toBe(1);
  });

  for (const line of [
    '<html>',
    '{"type":"ADDED"}',
    '{"type":"RENAMED","object":{"metadata":{"resourceVersion":"1"}}}',
    'null',
    '[]',
  ])
    test(`that sends ${line} has lost an event, so all is listed again`, async () => {
      const run = start();
      await synced(run);
      api.isFrozen = true;
      api.put('pods', pod('a'));
      api.isFrozen = false;
      api.toWatchers(`${line}\n`);
      await eventually(() => expect(names(run.sink)).toEqual(['a']));
      expect([run.counts.list, run.counts.failure]).toEqual([2, 1]);
    });

  test('with an ERROR that is no 410 is opened again from the last version', async () => {
    const run = start();
    await synced(run);
    api.toWatchers('{"type":"ERROR","object":{"kind":"Status","code":500,"message":"etcd"}}\n');
    await eventually(() => expect(run.counts.watch).toBe(2));
    expect([run.counts.list, run.logged[0]]).toEqual([
      1,
      'the Kubernetes API cannot be watched; the last known state stays in use: the API server answers 500: etcd',
    ]);
  });

  test('that the server ends at once each time is not asked for in a hot loop', async () => {
    api.always = ({ query }) => (query['watch'] === '1' ? (response) => response.writeHead(200).end() : undefined);
    const run = start({ backoff: { firstMs: 50, mostMs: 1000 } });
    await new Promise((resolve) => setTimeout(resolve, 500));
    expect(run.counts.failure).toBeGreaterThan(1);
    expect(run.counts.failure).toBeLessThan(8);
    expect(run.counts.list).toBe(1);
  });

  test('skips an object that is too large, in a list too', async () => {
    api.put('pods', pod('large', { text: 'x'.repeat(5000) }));
    api.put('pods', pod('small'));
    const run = start({ maxObjectBytes: 4000 });
    await synced(run);
    expect(names(run.sink)).toEqual(['small']);
    api.put('pods', pod('larger', { text: 'x'.repeat(500_000) }));
    api.put('pods', pod('last'));
    await eventually(() => expect(names(run.sink)).toEqual(['last', 'small']));
    expect(run.counts.oversized).toBe(2);
    expect(run.logged).toEqual(['an object of the Kubernetes API is too large and was skipped: ']);
  });

  test('ends at once when it is aborted, whatever it waits for', async () => {
    const waits: (() => void)[] = [
      () => undefined,
      () => api.next.push(() => undefined), // never answers
      () => api.next.push((response) => response.writeHead(200).write('{"items":[')),
      () => {
        api.always = () => answers(500);
      },
    ];
    for (const wait of waits) {
      wait();
      const { abort, ended } = start({ backoff: { firstMs: 60_000, mostMs: 60_000 } });
      await new Promise((resolve) => setTimeout(resolve, 50));
      abort.abort();
      const began = performance.now();
      await ended;
      expect(performance.now() - began).toBeLessThan(10_000);
      api.always = () => undefined;
    }
  });
});

describe('an answer that is no list', () => {
  for (const [what, body, says] of [
    ['HTML', '<html>login</html>', /the list is not whole JSON; it begins with "<html>login/],
    ['half a list', '{"metadata":{"resourceVersion":"1"},"items":[{"metadata":{"name":"a"}}', /not whole JSON/],
    ['another object', '{"kind":"Status"}', /no resourceVersion, so the server is not a Kubernetes API server/],
    ['an item that is not JSON', '{"items":[{nonsense}],"metadata":{"resourceVersion":"1"}}', /JSON/],
    ['text without end', `{"a":"${'x'.repeat(2_000_000)}"}`, /the answer is not a list of objects/],
  ] as const)
    test(`is refused: ${what}`, async () => {
      api.always = () => (response) => response.writeHead(200).end(body);
      const run = start();
      await eventually(() => expect(run.watch.failure).toMatch(says));
    });
});
