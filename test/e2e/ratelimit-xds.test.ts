/** `sluice ratelimit` with a control plane (ADS, state of the world): accepted and rejected configs, and reconnects. */
import { create, fromBinary, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import { anyPack } from '@bufbuild/protobuf/wkt';
import { afterEach, expect, test } from 'vitest';
import {
  type DiscoveryRequest,
  DiscoveryRequestSchema,
  DiscoveryResponseSchema,
} from '../../gen/envoy/service/discovery/v3/discovery_pb.ts';
import { RateLimitConfigSchema, RateLimitUnit } from '../../gen/ratelimit/config/ratelimit/v3/rls_conf_pb.ts';
import { listen, type Transport } from '../../src/transport/index.ts';
import { rateLimitClient } from '../parts/ratelimit-client.ts';
import { startSluiceRatelimit } from '../parts/ratelimits.ts';
import { freePort } from '../parts/free-port.ts';
import { until } from './sluice.ts';

const TYPE = 'type.googleapis.com/ratelimit.config.ratelimit.v3.RateLimitConfig';

const ends: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end();
});

interface ControlPlane {
  readonly transport: Transport;
  readonly heard: DiscoveryRequest[];
  readonly metadata: (string | undefined)[];
  send(version: string, configs: readonly MessageInitShape<typeof RateLimitConfigSchema>[]): void;
}

async function controlPlane(port: number): Promise<ControlPlane> {
  const heard: DiscoveryRequest[] = [];
  const metadata: (string | undefined)[] = [];
  let state: Uint8Array | undefined;
  let wake = Promise.withResolvers<void>();
  let nonce = 0;
  const transport = await listen(
    new Map([
      [
        '/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources',
        {
          kind: 'stream',
          handle: async function* handle(requests, context) {
            metadata.push(context.metadata('x-tenant'));
            let isOver = false;
            const read = async (): Promise<void> => {
              for await (const bytes of requests) heard.push(fromBinary(DiscoveryRequestSchema, bytes));
            };
            read()
              .catch(() => undefined)
              .finally(() => {
                isOver = true;
              });
            let said: Uint8Array | undefined;
            while (!isOver && !context.draining.aborted) {
              if (state !== undefined && state !== said) {
                said = state;
                yield state;
              } else
                await Promise.race([
                  wake.promise,
                  new Promise((resolve) => {
                    setTimeout(resolve, 50);
                  }),
                ]);
            }
          },
        },
      ],
    ]),
    { host: '127.0.0.1', port, maxMessageBytes: 1 << 20, onFault: () => {} },
  );
  return {
    transport,
    heard,
    metadata,
    send(version, configs) {
      state = toBinary(
        DiscoveryResponseSchema,
        create(DiscoveryResponseSchema, {
          versionInfo: version,
          typeUrl: TYPE,
          nonce: `n${++nonce}`,
          resources: configs.map((config) => anyPack(RateLimitConfigSchema, create(RateLimitConfigSchema, config))),
        }),
      );
      wake.resolve();
      wake = Promise.withResolvers<void>();
    },
  };
}

const shop = (limit: number, rest: object = {}): MessageInitShape<typeof RateLimitConfigSchema> => ({
  name: 'shop-config',
  domain: 'shop',
  descriptors: [
    {
      key: 'user',
      rateLimit: { unit: RateLimitUnit.DAY, requestsPerUnit: limit, name: 'yes' },
      descriptors: [{ key: 'path', value: '010', rateLimit: { unlimited: true, replaces: [{ name: 'yes' }] } }],
    },
    {
      key: 'soft',
      shadowMode: true,
      quotaMode: true,
      metadata: { team: 'a' },
      rateLimit: { unit: RateLimitUnit.WEEK, requestsPerUnit: 0 },
    },
  ],
  ...rest,
});

async function started(env: NodeJS.ProcessEnv) {
  const part = await startSluiceRatelimit({
    BACKEND_TYPE: 'memory',
    CONFIG_TYPE: 'GRPC_XDS_SOTW',
    XDS_CLIENT_BACKOFF_INITIAL_INTERVAL: '50ms',
    XDS_CLIENT_BACKOFF_MAX_INTERVAL: '100ms',
    LOG_LEVEL: 'info',
    ...env,
  });
  ends.push(() => part.stop());
  const client = rateLimitClient(part.grpcPort);
  ends.push(async () => client.close());
  const limitOf = async (entries: readonly (readonly [string, string])[]): Promise<number | undefined> => {
    const descriptors = [{ entries: entries.map(([key, value]) => ({ key, value })) }];
    const {
      statuses: [status],
    } = await client.ask({ domain: 'shop', descriptors });
    return status?.currentLimit?.requestsPerUnit ?? (status?.limitRemaining === 4_294_967_295 ? Infinity : undefined);
  };
  return { part, limitOf };
}

test.each(['1', '2'])(
  'valid configs of the control plane take effect; invalid ones are rejected with the reason and change nothing: %s workers, one stream',
  async (workers) => {
    const plane = await controlPlane(0);
    ends.push(async () => plane.transport.drain(100));
    plane.send('1', [shop(7)]);
    const { part, limitOf } = await started({
      SLUICE_WORKERS: workers,
      CONFIG_GRPC_XDS_SERVER_URL: `127.0.0.1:${plane.transport.port}`,
      CONFIG_GRPC_XDS_NODE_ID: 'node-1',
      CONFIG_GRPC_XDS_NODE_METADATA: 'zone=a',
      CONFIG_GRPC_XDS_CLIENT_ADDITIONAL_HEADERS: 'x-tenant:t1',
    });
    expect(await limitOf([['user', 'ann']])).toBe(7);
    expect(
      await limitOf([
        ['user', 'ann'],
        ['path', '010'],
      ]),
    ).toBe(Infinity);
    expect(plane.metadata).toEqual(['t1']);
    expect(plane.heard[0]).toMatchObject({
      typeUrl: TYPE,
      versionInfo: '',
      node: { id: 'node-1', metadata: { zone: 'a' } },
    });
    const ack = await until('the first is taken', () =>
      plane.heard.find(({ responseNonce }) => responseNonce === 'n1'),
    );
    expect([ack.versionInfo, ack.errorDetail]).toEqual(['1', undefined]);

    plane.send('2', [shop(9, { domain: '' })]);
    const nack = await until('the second is refused', () =>
      plane.heard.find(({ responseNonce }) => responseNonce === 'n2'),
    );
    expect([nack.versionInfo, nack.errorDetail?.message]).toEqual([
      '1',
      expect.stringContaining('shop-config: config file cannot have empty domain'),
    ]);
    expect(await limitOf([['user', 'ann']])).toBe(7);

    plane.send('3', [shop(9)]);
    await until('the third is in force', async () => ((await limitOf([['user', 'ann']])) === 9 ? true : undefined));
    const page = await (await fetch(`http://127.0.0.1:${part.prometheusPort}/metrics`)).text();
    expect([/config_load_success (\d+)/.exec(page)?.[1], /config_load_error (\d+)/.exec(page)?.[1]]).toEqual([
      '2',
      '1',
    ]);
    expect(await (await fetch(`http://127.0.0.1:${part.debugPort}/rlconfig`)).text()).toContain(
      'shop.soft: unit=WEEK requests_per_unit=0, shadow_mode: true, quota_mode: true',
    );
  },
);

test('a lost control plane leaves the config in force, and is followed again when it is back', async () => {
  const port = await freePort();
  const plane = await controlPlane(port);
  plane.send('1', [shop(7)]);
  const { part, limitOf } = await started({ CONFIG_GRPC_XDS_SERVER_URL: `127.0.0.1:${port}` });
  await plane.transport.drain(0);
  await until('it says so', () => (part.printed().includes('the control plane is unreachable') ? true : undefined));
  expect(await limitOf([['user', 'ann']])).toBe(7);
  const again = await controlPlane(port);
  ends.push(async () => again.transport.drain(100));
  again.send('2', [shop(8)]);
  await until('it follows', async () => ((await limitOf([['user', 'ann']])) === 8 ? true : undefined));
  expect(again.heard[0]?.versionInfo).toBe('');
});

test('without a control plane it waits, or starts if it is told to', async () => {
  const port = await freePort();
  const { limitOf } = await started({
    CONFIG_GRPC_XDS_SERVER_URL: `127.0.0.1:${port}`,
    FORCE_START_WITHOUT_INITIAL_CONFIG: 'true',
  });
  await expect(limitOf([['user', 'ann']])).rejects.toThrow('no rate limit configuration loaded');
  const plane = await controlPlane(port);
  ends.push(async () => plane.transport.drain(100));
  plane.send('1', [shop(7)]);
  await until('it follows', async () =>
    (await limitOf([['user', 'ann']]).catch(() => undefined)) === 7 ? true : undefined,
  );
});
