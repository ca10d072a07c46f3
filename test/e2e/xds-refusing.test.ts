/** Clients of the discovery service that refuse everything. */
import { afterEach, expect, test } from 'vitest';
import { connectStreams, listen, type StreamsClient } from '../../src/transport/index.ts';
import { CLUSTER, ENDPOINTS, type Resource, XdsServer } from '../../src/xds/index.ts';
import { AdsClient } from '../parts/ads-client.ts';
import { byName, cluster, endpoints } from '../parts/xds-envoy.ts';
import { untilHolds as until } from './sluice.ts';

const ends: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end();
});

interface Crowd {
  readonly server: XdsServer;
  readonly port: number;
  readonly refusals: string[];
  put(clusters: readonly Resource[]): void;
  connection(): Promise<StreamsClient>;
}

async function controlPlane(): Promise<Crowd> {
  let byType = new Map([[CLUSTER, byName([cluster('v0')])]]);
  let version = 0;
  const refusals: string[] = [];
  const server = new XdsServer({
    source: {
      connect: () => ({
        resources: () => ({ version: String(version), byType }),
        absent: (type, name) => (type === ENDPOINTS ? endpoints(name, []) : undefined),
      }),
    },
    onRefused: ({ id }) => refusals.push(id),
  });
  const transport = await listen(server.methods, {
    host: '127.0.0.1',
    port: 0,
    maxMessageBytes: 4 << 20,
    onFault: (path, error) => {
      throw new Error(path, { cause: error });
    },
  });
  ends.push(() => transport.drain(0));
  return {
    server,
    port: transport.port,
    refusals,
    put(clusters) {
      version++;
      byType = new Map([[CLUSTER, byName(clusters)]]);
      server.changed();
    },
    async connection() {
      const client = await connectStreams({ host: '127.0.0.1', port: transport.port }, { withinMs: 30_000 });
      ends.push(async () => client.close());
      return client;
    },
  };
}

test.for([false, true])(
  'proxies that refuse everything delay no other, and are sent each state once; delta: %s',
  async (isDelta) => {
    const plane = await controlPlane();
    const connection = await plane.connection();
    const got = new Map<number, string>();
    let sentToRefusing = 0;
    for (let at = 0; at < 20; at++) {
      const refuses = at % 2 === 0;
      new AdsClient(connection, {
        id: `p${at}`,
        isDelta,
        refuses,
        onResponse: (typeUrl, bytes) => {
          if (typeUrl === CLUSTER && refuses) sentToRefusing++;
          const [last] = typeUrl === CLUSTER ? (/v\d+/.exec(bytes.toString('latin1')) ?? []) : [];
          if (last !== undefined && !refuses) got.set(at, last);
        },
      });
    }
    await until(() => got.size === 10);
    for (let change = 1; change <= 8; change++) {
      plane.put([cluster('v0', { connect_timeout: `${change + 1}s` }), cluster(`w${change}`)]);
      await until(
        () =>
          plane.server.proxies().filter(({ version, isSynced }) => version === String(change) && isSynced).length ===
          10,
      );
    }
    expect(plane.server.proxies().filter(({ types }) => types.some(({ state }) => state === 'refused'))).toHaveLength(
      10,
    );
    await new Promise((resolve) => setTimeout(resolve, 200));
    const [sent, refused] = [sentToRefusing, plane.refusals.length];
    await new Promise((resolve) => setTimeout(resolve, 500));
    expect([sentToRefusing, plane.refusals.length]).toEqual([sent, refused]); // not sent again
    expect(sent).toBeLessThanOrEqual(10 * 9 * 2);
  },
);
