import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { Redis } from 'ioredis';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { Rejected, type ReportEntry, Unavailable } from 'sluice/plugin';
import { eventually, openForTest, testAdapter, testCall } from 'sluice/plugin/testing';
import { startLink } from '../../test/parts/link.ts';
import { startRedisCluster, startRedisSentinel, startRedisTls } from '../../test/parts/redis-kinds.ts';
import { type RedisPart, startRedis, startRedisWithClient } from '../../test/parts/redis.ts';
import adapter from './adapter.ts';

let redis: RedisPart;
let admin: Redis;
beforeAll(async () => {
  ({ redis, admin } = await startRedisWithClient());
});
afterAll(() => redis.stop());
const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end();
});

type Fields = Readonly<Record<string, string>>;
const entriesIn = async (client: Redis, stream: string): Promise<Fields[]> =>
  (await client.xrange(stream, '-', '+')).map(([, words]) =>
    Object.fromEntries(words.flatMap((word, at) => (at % 2 === 0 ? [[word, words[at + 1] ?? '']] : []))),
  );

let streams = 0;
let stream = '';
testAdapter(adapter, {
  runner: { describe, test },
  config: () => {
    stream = `kit-${streams++}`;
    return { url: redis.url, stream, format: 'json' };
  },
  badConfigs: [
    {
      config: { url: 'redis://127.0.0.1:1', maxLength: 1, maxAgeMs: 1000 },
      says: /by maxLength or by maxAgeMs, not both/,
    },
    { config: { url: 'http://127.0.0.1:1' }, says: /expected redis:/ },
  ],
  report: {
    input: (n) => ({ n, path: `/ü/${n}` }),
    read: async () => (await entriesIn(admin, stream)).map(({ json }) => JSON.parse(json ?? '') as unknown),
  },
});

const entriesOf = (from: number, count: number, more: object = {}): ReportEntry[] =>
  Array.from({ length: count }, (_, at) => ({
    sink: 'some-rule',
    id: `id-${from + at}`,
    timeMs: 1_767_225_600_000,
    input: { n: from + at, ...more },
  }));

describe('log-redis', () => {
  const open = async (config: object) => {
    const opened = await openForTest(adapter, { config: { url: redis.url, ...config } });
    ends.push(() => opened.close());
    const write = async (entries: readonly ReportEntry[]): Promise<unknown> =>
      Promise.resolve(opened.handler.write?.(entries, testCall(30_000))).then(
        () => undefined,
        (error: unknown) => error,
      );
    return { ...opened, write };
  };
  const numbersIn = async (url: string, key: string): Promise<number[]> => {
    const client = new Redis(url);
    const entries = await entriesIn(client, key).finally(() => client.disconnect());
    return entries.map(({ n }) => Number(n)).toSorted((a, b) => a - b);
  };
  const counted = (count: number): number[] => Array.from({ length: count }, (_, n) => n);

  test('an entry has id, rule and time, then a field for each of the rule', async () => {
    const { write } = await open({ stream: 'form' });
    const input = { user: 'ann', code: 200, none: null, at: new Date(0), list: ['a'], raw: new Uint8Array([1, 2]) };
    expect(await write([{ sink: 'r', id: 'id-1', timeMs: 1_767_225_600_000, input }])).toBeUndefined();
    expect(await entriesIn(admin, 'form')).toEqual([
      {
        'sluice-id': 'id-1',
        'sluice-rule': 'r',
        'sluice-time': '1767225600000',
        user: 'ann',
        code: '200',
        none: '',
        at: '1970-01-01T00:00:00.000Z',
        list: '["a"]',
        raw: 'AQI=',
      },
    ]);
  });

  test('a stream is trimmed by length, and by age', async () => {
    const byLength = await open({ stream: 'short', maxLength: 200 });
    for (let from = 0; from < 2000; from += 500) await byLength.write(entriesOf(from, 500));
    expect(await admin.xlen('short')).toBeLessThan(400); // ~ trims whole nodes of 100 entries
    const byAge = await open({ stream: 'young', maxAgeMs: 1000 });
    const old = Date.now() - 3_600_000;
    for (let n = 0; n < 500; n++) await admin.xadd('young', old + n, 'n', n);
    byAge.clock.advance(Date.now() - byAge.clock.nowMs());
    await byAge.write(entriesOf(0, 1));
    expect(await admin.xlen('young')).toBeLessThan(200);
  });

  test('a stream of another type holds its reports back with the reason, until it is mended', async () => {
    await admin.set('text', 'x');
    const { write, readiness } = await open({ stream: 'text' });
    expect(await write(entriesOf(0, 3))).toMatchObject({
      name: 'Unavailable',
      message: expect.stringMatching(
        /^the stream text: .*WRONGTYPE.*; delete the key, or name another stream$/,
      ) as string,
    });
    expect(readiness()).toMatchObject({ ready: false });
    await admin.del('text');
    expect(await write(entriesOf(0, 3))).toBeUndefined();
    expect(readiness().ready).toBe(true);
    expect(await numbersIn(redis.url, 'text')).toEqual(counted(3));
  });

  test('what was written of a batch that failed in its middle is not repeated by the retry', async () => {
    const cluster = await startRedisCluster();
    ends.push(() => cluster.stop());
    const [first] = cluster.nodes;
    const { write } = await open({ url: first?.url, cluster: [], stream: 's', shards: 8 });
    const keys = counted(8).map((shard) => `{s:${shard}}`);
    await eventually(async () => expect(await write(entriesOf(0, 300))).toBeUndefined());
    const victim = cluster.nodes[1];
    const victimAdmin = new Redis(victim?.url ?? '');
    await victimAdmin.config('SET', 'maxmemory', '1');
    const failed = await write(entriesOf(300, 300));
    expect([failed instanceof Unavailable, String(failed)]).toEqual([true, expect.stringContaining('OOM')]);
    await victimAdmin.config('SET', 'maxmemory', '0');
    victimAdmin.disconnect();
    await eventually(async () => expect(await write(entriesOf(300, 300))).toBeUndefined());
    const found = await Promise.all(
      cluster.nodes.map(async ({ url }) => {
        const client = new Redis(url);
        const lists = await Promise.all(keys.map(async (key) => entriesIn(client, key).catch(() => [])));
        client.disconnect();
        return lists;
      }),
    );
    expect(found.filter((lists) => lists.some((list) => list.length > 0)).length, 'nodes with streams').toBeGreaterThan(
      1,
    );
    expect(
      found
        .flat(2)
        .map(({ n }) => Number(n))
        .toSorted((a, b) => a - b),
    ).toEqual(counted(600));
  }, 30_000);

  test('Redis that hangs, is gone, or became a replica: Unavailable, then every report at the repointed address', async () => {
    const [old, renewed] = await Promise.all([startRedis(), startRedis()]);
    const link = await startLink(old.port);
    ends.push(
      () => renewed.stop(),
      () => old.kill(),
      () => link.stop(),
    );
    const { write, readiness } = await open({ url: `redis://127.0.0.1:${link.port}`, stream: 's', timeoutMs: 300 });
    expect(await write(entriesOf(0, 10))).toBeUndefined();
    old.freeze();
    expect(await write(entriesOf(10, 10))).toBeInstanceOf(Unavailable);
    old.thaw();
    await eventually(async () => expect(await write(entriesOf(10, 10))).toBeUndefined());
    // Without IDMP the entries of the lost replies are there twice, by one id.
    expect([...new Set(await numbersIn(old.url, 's'))]).toEqual(counted(20));
    const oldAdmin = new Redis(old.url);
    await oldAdmin.replicaof('127.0.0.1', renewed.port);
    oldAdmin.disconnect();
    await eventually(async () => expect(String(await write(entriesOf(20, 10)))).toContain('READONLY'));
    expect(readiness()).toMatchObject({ ready: false });
    await old.kill();
    expect(await write(entriesOf(20, 10))).toBeInstanceOf(Unavailable);
    link.repoint(renewed.port);
    await eventually(async () => expect(await write(entriesOf(20, 10))).toBeUndefined());
    expect(await numbersIn(renewed.url, 's')).toEqual(counted(30).slice(20));
    expect(readiness().ready).toBe(true);
  }, 30_000);

  test('writes to the master that a sentinel names, and over TLS with client certificates', async () => {
    const [sentinel, tls] = await Promise.all([startRedisSentinel(), startRedisTls()]);
    ends.push(
      () => sentinel.stop(),
      () => tls.stop(),
    );
    const behind = await open({ url: 'redis://mymaster', sentinels: [`127.0.0.1:${sentinel.port}`], stream: 's' });
    await eventually(async () => expect(await behind.write(entriesOf(0, 5))).toBeUndefined());
    expect(await numbersIn(sentinel.master.url, 's')).toEqual(counted(5));
    const secure = await open({ url: tls.url, tls: { ca: tls.ca, cert: tls.cert, key: tls.key }, stream: 's' });
    await eventually(async () => expect(await secure.write(entriesOf(0, 5))).toBeUndefined());
  }, 30_000);

  describe('on a server that answers as Redis 8.6 documents it', () => {
    test('an entry whose reply was lost is not repeated, and the stream keeps the ids of large batches', async () => {
      const server = await startDocumented();
      ends.push(() => server.stop());
      const { write } = await open({ url: server.url, stream: 's', producer: 'p', timeoutMs: 300 });
      expect(await write(entriesOf(0, 300))).toBeUndefined();
      expect(server.configured).toEqual([['s', 'IDMP-DURATION', '3600', 'IDMP-MAXSIZE', '10000']]);
      server.isMute = true;
      expect(await write(entriesOf(300, 300))).toBeInstanceOf(Unavailable);
      server.isMute = false;
      await eventually(async () => expect(await write(entriesOf(300, 300))).toBeUndefined());
      expect(server.entries.map(({ n }) => Number(n))).toEqual(counted(600));
      expect([...server.producers]).toEqual(['p-1']);
    });

    test('an entry that is refused for itself is Rejected by its index, and the others are written', async () => {
      const server = await startDocumented();
      ends.push(() => server.stop());
      const { write, readiness } = await open({ url: server.url, stream: 's' });
      const [a, b, c] = entriesOf(0, 3) as [ReportEntry, ReportEntry, ReportEntry];
      const error = await write([a, { ...b, input: { n: 1, fill: 'too large' } }, c]);
      expect(error).toBeInstanceOf(Rejected);
      expect(error).toMatchObject({
        entries: [1],
        message: expect.stringMatching(/^the report id-1: .*Elements are too large/) as string,
      });
      expect(server.entries.map(({ n }) => n)).toEqual(['0', '2']);
      expect(readiness().ready).toBe(true);
    });
  });
});

interface DocumentedServer {
  readonly url: string;
  readonly entries: Fields[];
  readonly producers: Set<string>;
  readonly configured: string[][];
  /** Takes commands, and loses the replies. */
  isMute: boolean;
  stop(): void;
}

/** The part of Redis 8.6 that the adapter uses, by its documentation; no such server can be had here. */
async function startDocumented(): Promise<DocumentedServer> {
  const ids = new Set<string>();
  const bulk = (text: string): string => `$${Buffer.byteLength(text)}\r\n${text}\r\n`;
  const answer = ([name = '', ...words]: string[]): string => {
    switch (name.toUpperCase()) {
      case 'INFO':
        return bulk('redis_version:8.6.0\r\nloading:0\r\n');
      case 'COMMAND':
        return `*1\r\n*1\r\n${bulk('xcfgset')}`;
      case 'XINFO':
        return `*2\r\n${bulk('idmp-maxsize')}:100\r\n`;
      case 'XCFGSET':
        part.configured.push(words);
        return '+OK\r\n';
      case 'XADD': {
        if (words.includes('too large')) return '-ERR Elements are too large to be stored\r\n';
        const [key, idmp, producer = '', id = '', star, ...fields] = words;
        if (key !== 's' || idmp !== 'IDMP' || star !== '*') return '-ERR syntax error\r\n';
        part.producers.add(producer);
        if (!ids.has(id))
          part.entries.push(
            Object.fromEntries(fields.flatMap((word, at) => (at % 2 === 0 ? [[word, fields[at + 1] ?? '']] : []))),
          );
        ids.add(id);
        return bulk('1-1');
      }
      default:
        return '+OK\r\n';
    }
  };
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    let rest = '';
    socket.on('error', () => {});
    socket.on('data', (chunk: Buffer) => {
      rest += chunk.toString('latin1');
      for (;;) {
        const head = /^\*(\d+)\r\n/.exec(rest);
        if (head === null) return;
        let at = head[0].length;
        const words: string[] = [];
        for (let word = 0; word < Number(head[1]); word++) {
          const length = /^\$(\d+)\r\n/.exec(rest.slice(at));
          if (length === null) return;
          at += length[0].length;
          words.push(rest.slice(at, at + Number(length[1])));
          at += Number(length[1]) + 2;
        }
        if (at > rest.length) return;
        rest = rest.slice(at);
        const reply = answer(words);
        if (!part.isMute) socket.write(reply);
      }
    });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const part: DocumentedServer = {
    url: `redis://127.0.0.1:${(server.address() as AddressInfo).port}`,
    entries: [],
    producers: new Set(),
    configured: [],
    isMute: false,
    stop: () => {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
  return part;
}
