/** One question to the discovery service, over a stream of its own. */
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  DiscoveryRequestSchema,
  DiscoveryResponseSchema,
} from '../../../gen/envoy/service/discovery/v3/discovery_pb.ts';
import type { GrpcClient } from '../../../src/transport/index.ts';

const ADS = '/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources';
const NODE = {
  id: 'sidecar~127.0.0.1~reviews-v1.default~default.svc.cluster.local',
  metadata: { SERVICE_ACCOUNT: 'reviews', INTERCEPTION_MODE: 'NONE' },
};
const WITHIN_MS = 60_000;

/** The resources of the first answer, as text. */
export async function asked(
  at: GrpcClient,
  typeUrl: string,
  names: readonly string[] = [],
): Promise<readonly string[]> {
  const request = create(DiscoveryRequestSchema, { node: NODE, typeUrl, resourceNames: [...names] });
  const over = new AbortController();
  const requests = async function* (): AsyncGenerator<Uint8Array> {
    yield toBinary(DiscoveryRequestSchema, request);
    await sleep(WITHIN_MS, undefined, { signal: over.signal }).catch(() => undefined);
  };
  try {
    for await (const reply of at.stream(ADS, requests(), { timeoutMs: WITHIN_MS }))
      return fromBinary(DiscoveryResponseSchema, reply).resources.map(({ value }) =>
        Buffer.from(value).toString('latin1'),
      );
    throw new Error('the stream has ended without an answer');
  } finally {
    over.abort();
  }
}
