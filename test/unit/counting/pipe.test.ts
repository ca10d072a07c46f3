/** The pipe, and what counts over it, at a real Redis: replies in pieces, refusals, and connections that end in the middle. */
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { type Redis, ReplyError } from 'ioredis';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { eventually } from '../../../src/adapters/testing/index.ts';
import { MAX_HITS } from '../../../src/counting/algorithms.ts';
import type { RedisAddress } from '../../../src/counting/redis/config.ts';
import { type Connection, type ConnectionOptions, openConnection } from '../../../src/counting/redis/connection.ts';
import { RedisPipe, type Count, type Increment, type PipePlace } from '../../../src/counting/redis/pipe.ts';
import { type RedisPart, startRedisWithClient } from '../../parts/redis.ts';
import { type HeldLink, startHeldLink } from './held-link.ts';

const MINUTE_MS = 60_000;
const host = '127.0.0.1';
const inSeconds = (perMs: number): number => perMs / 1000;

let redis: RedisPart;
let admin: Redis;
beforeAll(async () => {
  ({ redis, admin } = await startRedisWithClient());
  await admin.call('ACL', 'SETUSER', 'no-expire', 'on', '>word', '~*', '+@all', '-expire');
  await admin.call('ACL', 'SETUSER', 'no-hash', 'on', '>word', '~*', '+@all', '-@hash');
  await admin.call('ACL', 'SETUSER', 'some-keys', 'on', '>word', '~own:*', '+@all');
});
afterAll(() => redis.stop());

const ends: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end();
  await admin.flushall();
});

async function linked(): Promise<HeldLink> {
  const link = await startHeldLink(redis.port);
  ends.push(() => link.stop());
  return link;
}

async function opened(place: Partial<PipePlace> = {}): Promise<RedisPipe> {
  const pipe = new RedisPipe({ host, port: redis.port, ...place }, { ready() {}, closed() {} });
  ends.push(() => pipe.close());
  await eventually(() => expect(pipe.isReady).toBe(true));
  return pipe;
}

const hit = (key: string, cost = 1, perMs = MINUTE_MS): Increment => ({ key, cost, perMs });
const told = (counts: readonly Count[]) => counts.map((count) => (typeof count === 'number' ? count : count.message));
const WRONG_TYPE = expect.stringContaining('WRONGTYPE') as unknown;

test('replies that arrive octet by octet, an error among them', async () => {
  const link = await linked();
  const pipe = await opened({ port: link.port });
  await admin.hset('a hash', 'f', '1');
  await admin.set('below zero', -12);
  link.splitReplies();
  const first = pipe.count([hit('k', 9), hit('a hash'), hit('below zero'), hit('k', 1)], inSeconds, []);
  const second = pipe.count([hit('k', 90)], inSeconds, [['HSET', 'h', 'f', 'v']]);
  expect(told(await first)).toEqual([9, WRONG_TYPE, -11, 10]);
  expect(told(await second)).toEqual([100]);
  expect(told(await pipe.count([hit('k')], inSeconds, []))).toEqual([101]);
});

test('any key, cost and expiry, each with its own words', async () => {
  const pipe = await opened();
  const hits = [
    hit('käse 🧀', 1, MINUTE_MS),
    hit('käse 🧀', MAX_HITS * 4, MINUTE_MS),
    hit('plain', 3, MINUTE_MS),
    hit('plain', 3, 2 * MINUTE_MS),
    hit('line\r\nend', 2, 3 * MINUTE_MS),
    hit('', 4, 4 * MINUTE_MS),
  ];
  expect(told(await pipe.count(hits, inSeconds, []))).toEqual([1, MAX_HITS + 1, 3, 6, 2, 4]);
  const keys = ['käse 🧀', 'plain', 'line\r\nend', ''];
  expect(await Promise.all(keys.map(async (key) => admin.get(key)))).toEqual([`${MAX_HITS + 1}`, '6', '2', '4']);
  expect(await Promise.all(keys.map(async (key) => admin.ttl(key)))).toEqual([60, 120, 180, 240]);
  let more = 0;
  await pipe.count([hit('a'), hit('b'), hit('c')], () => 100 + more++, []); // jitter
  expect(await Promise.all(['a', 'b', 'c'].map(async (key) => admin.ttl(key)))).toEqual([100, 101, 102]);
});

test('nothing to send is answered at once', async () => {
  const pipe = await opened();
  expect(await pipe.count([], inSeconds, [])).toEqual([]);
  expect(told(await pipe.count([hit('k')], inSeconds, []))).toEqual([1]);
});

test('an expiry that throws sends nothing', async () => {
  const pipe = await opened();
  const fault = (): never => {
    throw new Error('no expiry');
  };
  await expect(pipe.count([hit('k')], fault, [])).rejects.toThrow('no expiry');
  expect(told(await pipe.count([hit('k')], inSeconds, []))).toEqual([1]);
});

test('all that wait fail when the connection ends', async () => {
  const link = await linked();
  const pipe = await opened({ port: link.port });
  link.hold(0, 'replies');
  const waiting = [pipe.count([hit('k')], inSeconds, []), pipe.count([], inSeconds, [['HSET', 'h', 'f', 'v']])];
  await eventually(async () => expect(await admin.get('k')).toBe('1'));
  link.close(0);
  for (const one of waiting) await expect(one).rejects.toThrow('the connection is closed');
  expect(pipe.isReady).toBe(false);
  await expect(pipe.count([hit('k')], inSeconds, [])).rejects.toThrow('the connection is closed');
});

test('a refused password closes it', async () => {
  const closed: unknown[] = [];
  const place = { host, port: redis.port, username: 'no-hash', password: 'wrong' };
  const pipe = new RedisPipe(place, { ready() {}, closed: (...how) => closed.push(how) });
  await eventually(() => expect(closed).toEqual([[false, expect.stringMatching(/^WRONGPASS /)]]));
  expect(pipe.isReady).toBe(false);
});

test('a password that the server does not ask for is no refusal', async () => {
  const pipe = await opened({ password: 'unasked' });
  expect(told(await pipe.count([hit('k')], inSeconds, []))).toEqual([1]);
});

test('a user without PING may count', async () => {
  await admin.call('ACL', 'SETUSER', 'no-ping', 'on', '>word', '~*', '+@all', '-ping');
  const pipe = await opened({ username: 'no-ping', password: 'word' });
  expect(told(await pipe.count([hit('k')], inSeconds, []))).toEqual([1]);
});

test('a server that ends no line is left', async () => {
  const server = createServer((socket) => {
    socket.on('error', () => {}); // the pipe closes it
    socket.once('data', () => {
      socket.write('+PONG\r\n');
      socket.once('data', () => socket.write('x'.repeat(1_000_000)));
    });
  });
  server.listen(0, host);
  await once(server, 'listening');
  ends.push(() => void server.close());
  const pipe = await opened({ port: (server.address() as AddressInfo).port });
  await expect(pipe.count([hit('k')], inSeconds, [])).rejects.toThrow('the connection is closed');
});

describe('a connection with a pipe', () => {
  type Address = Partial<RedisAddress> & Pick<ConnectionOptions, 'onPipe'>;
  async function connected({ onPipe, ...address }: Address = {}, hasPipe = true): Promise<Connection> {
    let isPiped = !hasPipe;
    const connection = openConnection({
      redis: { shown: '', db: 0, connectTimeout: 5000, host, port: redis.port, ...address },
      onPipe(why) {
        if (why === undefined) isPiped = true;
        onPipe?.(why);
      },
      timeoutMs: 10_000,
      onReady() {},
      hasPipe,
    });
    ends.push(() => connection.close());
    await eventually(() => expect([connection.why, isPiped]).toEqual([undefined, true]));
    return connection;
  }
  test('that Redis closes alone: calls in flight fail once, others are counted, and the pipe is opened again', async () => {
    const link = await linked();
    const connection = await connected({ port: link.port });
    await eventually(() => expect(link.connections()).toBe(2));
    await eventually(async () => {
      await connection.count([hit('own:first')], inSeconds, []);
      expect(link.repliesOf(1)).toBeGreaterThan(0);
    });
    link.hold(1, 'replies');
    const inFlight = connection.count([hit('k')], inSeconds, []);
    await eventually(async () => expect(await admin.get('k')).toBe('1'));
    link.close(1);
    await expect(inFlight).rejects.toThrow('the connection is closed');
    link.release();
    expect(told(await connection.count([hit('k')], inSeconds, []))).toEqual([2]);
    await eventually(async () => {
      await connection.count([hit('other')], inSeconds, []);
      expect(link.repliesOf(2)).toBeGreaterThan(0);
    });
    expect(connection.connections.total).toBe(1);
  });

  /** Pauses of 100 ms at least, doubled up to 2.5 s. */
  const mostTries = (withinMs: number): number => Math.log2(withinMs / 100 + 1) + withinMs / 2500;
  const REFUSALS: Readonly<Record<string, readonly [why: RegExp, begin: () => unknown, end: () => unknown]>> = {
    'another password': [
      /^WRONGPASS /,
      () => admin.call('ACL', 'SETUSER', 'piped', 'resetpass', '>other'),
      () => admin.call('ACL', 'SETUSER', 'piped', 'resetpass', '>word'),
    ],
    'too many clients': [
      /^ERR max number of clients reached/,
      () => admin.config('SET', 'maxclients', '2'), // this one, and that of ioredis
      () => admin.config('SET', 'maxclients', '1000'),
    ],
  };
  test.each(Object.entries(REFUSALS))(
    'that is refused alone, by %s: no call fails, it is tried with a back-off, and the cause is told',
    async (_name, [why, begin, end]) => {
      await admin.call('ACL', 'SETUSER', 'piped', 'on', '>word', '~*', '+@all');
      const told: (string | undefined)[] = [];
      const address = { username: 'piped', password: 'word', onPipe: (cause: string | undefined) => told.push(cause) };
      const connection = await connected(address);
      expect(told).toEqual([undefined]);
      await begin();
      const beganMs = performance.now();
      const before = Number(/total_connections_received:(\d+)/.exec(await admin.info('stats'))?.[1]);
      const opened = String(await admin.client('LIST'))
        .split('\n')
        .filter((one) => one.includes('user=piped'));
      await admin.client('KILL', 'ID', Math.max(...opened.map((one) => Number(/id=(\d+)/.exec(one)?.[1])))); // the later one
      try {
        await eventually(() => expect(told.length).toBeGreaterThan(2));
        for (let call = 0; call < 20; call++)
          expect(typeof (await connection.count([hit('own:k')], inSeconds, []))[0]).toBe('number');
        expect(told[1]).toMatch(why);
        const after = Number(/total_connections_received:(\d+)/.exec(await admin.info('stats'))?.[1]);
        expect(after - before).toBeLessThanOrEqual(mostTries(performance.now() - beganMs));
      } finally {
        await end();
      }
      await eventually(() => expect(told.at(-1)).toBeUndefined());
      expect(connection.connections.total).toBe(1);
    },
    30_000,
  );

  test.each([
    ['over the pipe', true],
    ['over ioredis', false],
  ])('%s: an ACL without EXPIRE fails the calls, since their counters would stay for ever', async (_name, hasPipe) => {
    const connection = await connected({ username: 'no-expire', password: 'word' }, hasPipe);
    await expect(connection.count([hit('k')], inSeconds, [])).rejects.toThrow(/NOPERM .*expire/);
  });

  test('an ACL without hashes fails nothing', async () => {
    const connection = await connected({ username: 'no-hash', password: 'word' });
    const record = [['HSET', 'h', 'f', 'v'] as const, ['EXPIRE', 'h', '5'] as const];
    expect(await connection.count([], inSeconds, record)).toEqual([]);
    expect(told(await connection.count([hit('k')], inSeconds, record))).toEqual([1]);
  });

  test('an ACL that allows some keys refuses the others alone', async () => {
    const connection = await connected({ username: 'some-keys', password: 'word' });
    const counts = await connection.count([hit('own:k'), hit('other'), hit('own:k')], inSeconds, []);
    expect(told(counts)).toEqual([1, expect.stringContaining('NOPERM'), 2]);
    expect(counts[1]).toBeInstanceOf(ReplyError);
  });
});
