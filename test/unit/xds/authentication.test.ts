/** Who opens a stream, proven before its first answer. */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, expect, test } from 'vitest';
import { dialGrpc, GrpcError, type GrpcClient, listen, Status } from '../../../src/transport/index.ts';
import { type Proxy, SECRET, XdsServer, type XdsServerOptions } from '../../../src/xds/index.ts';
import { secretsOf } from '../../parts/secret-client.ts';
import { resource } from '../../parts/xds-envoy.ts';

const ends: (() => Promise<unknown> | void)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end();
});

interface Served {
  readonly client: GrpcClient;
  readonly connected: Proxy[];
  readonly changes: (() => void)[];
  /** What the next push shows. */
  readonly show: (text: string) => void;
}

async function serve(options: Partial<XdsServerOptions>): Promise<Served> {
  const connected: Proxy[] = [];
  const changes: (() => void)[] = [];
  const shown = (text: string) => ({
    version: text,
    byType: new Map([
      [
        SECRET,
        new Map([
          ['one', resource(SECRET, 'one', { name: 'one', generic_secret: { secret: { inline_string: text } } })],
        ]),
      ],
    ]),
  });
  let resources = shown('first');
  const server = new XdsServer({
    source: {
      connect(proxy, changed) {
        connected.push(proxy);
        changes.push(changed);
        return { resources: () => resources };
      },
    },
    ...options,
  });
  const transport = await listen(server.methods, {
    host: '127.0.0.1',
    port: 0,
    maxMessageBytes: 1 << 20,
    onFault: (path, error) => {
      throw new Error(path, { cause: error });
    },
  });
  const client = dialGrpc(`127.0.0.1:${transport.port}`);
  ends.push(
    () => transport.drain(200),
    () => client.close(),
  );
  return { client, connected, changes, show: (text) => (resources = shown(text)) };
}

const leaving = (): AbortSignal => {
  const over = new AbortController();
  ends.push(() => over.abort());
  return over.signal;
};

test('a stream has the identity that was proven, once, whatever it says of itself later', async () => {
  let times = 0;
  const { client, connected } = await serve({
    authenticate: async (context) => {
      times++;
      await sleep(20);
      return context.metadata('authorization')?.slice('Bearer '.length);
    },
  });
  const known = secretsOf(client, { names: ['one'], metadata: { authorization: 'Bearer me' }, signal: leaving() });
  expect((await known.next()).value).toMatchObject([{ name: 'one' }]);
  const unknown = secretsOf(client, { names: ['one'], signal: leaving() });
  await unknown.next();
  expect(connected.map(({ identity }) => identity)).toEqual(['me', undefined]);
  expect(times).toBe(2);
});

test('without a way to authenticate nobody has an identity', async () => {
  const { client, connected } = await serve({});
  await secretsOf(client, { names: ['one'], metadata: { authorization: 'Bearer me' }, signal: leaving() }).next();
  expect(connected).toMatchObject([{ identity: undefined }]);
});

test('a refused stream gets the status and no resource', async () => {
  const { client, connected } = await serve({
    authenticate: async () => {
      throw new GrpcError(Status.UNAUTHENTICATED, 'the token has expired');
    },
  });
  await expect(secretsOf(client, { names: ['one'], signal: leaving() }).next()).rejects.toMatchObject({
    code: Status.UNAUTHENTICATED,
    message: 'the token has expired',
  });
  expect(connected).toEqual([]);
});

test('a change of one stream reaches that stream alone', async () => {
  const { client, changes, show } = await serve({});
  const [first, second] = [1, 2].map(() => secretsOf(client, { names: ['one'], signal: leaving() }));
  await first?.next();
  await second?.next();
  show('second');
  changes[0]?.();
  expect(await first?.next()).toMatchObject({ done: false });
  const late = second?.next();
  expect(await Promise.race([late, sleep(200, 'nothing')])).toBe('nothing');
  changes[1]?.();
  expect(await late).toMatchObject({ done: false });
});
