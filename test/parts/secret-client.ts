/** A client of the secret discovery service that says what it gets, in place of an Envoy. */
import { create, fromBinary, type JsonObject, toBinary } from '@bufbuild/protobuf';
import { DiscoveryRequestSchema, DiscoveryResponseSchema } from '../../gen/envoy/service/discovery/v3/discovery_pb.ts';
import { decodeEnvoyJson } from '../../src/envoy-json/encode.ts';
import type { GrpcClient } from '../../src/transport/index.ts';
import { SECRET } from '../../src/xds/index.ts';

export const ADS = '/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources';
export const SDS = '/envoy.service.secret.v3.SecretDiscoveryService/StreamSecrets';

export interface ReceivedSecret {
  readonly name: string;
  readonly tls_certificate?: {
    readonly certificate_chain: { readonly inline_string: string };
    readonly private_key: { readonly inline_string: string };
  };
  readonly validation_context?: { readonly trusted_ca: { readonly inline_string: string } };
}

export interface SecretClientOptions {
  readonly path?: string;
  readonly id?: string;
  readonly names: readonly string[];
  readonly metadata?: Readonly<Record<string, string>>;
  readonly nodeMetadata?: JsonObject;
  readonly signal: AbortSignal;
}

/** The secrets of each response, which is accepted. Throws a GrpcError if the stream is refused. */
export async function* secretsOf(
  client: GrpcClient,
  {
    path = SDS,
    id = 'sidecar~127.0.0.1~a.default~local',
    names,
    metadata = {},
    nodeMetadata = {},
    signal,
  }: SecretClientOptions,
): AsyncGenerator<readonly ReceivedSecret[], void, undefined> {
  const acks: string[] = [];
  let wake = (): void => {};
  const request = (responseNonce: string, versionInfo: string): Uint8Array =>
    toBinary(
      DiscoveryRequestSchema,
      create(DiscoveryRequestSchema, {
        node: { id, metadata: nodeMetadata },
        typeUrl: SECRET,
        resourceNames: [...names],
        responseNonce,
        versionInfo,
      }),
    );
  signal.addEventListener('abort', () => wake(), { once: true });
  async function* requests(): AsyncGenerator<Uint8Array> {
    yield request('', '');
    while (!signal.aborted) {
      const nonce = acks.shift();
      if (nonce !== undefined) yield request(nonce, 'any');
      else await new Promise<void>((resolve) => (wake = resolve));
    }
  }
  try {
    for await (const bytes of client.stream(path, requests(), { metadata, signal })) {
      const { nonce, resources } = fromBinary(DiscoveryResponseSchema, bytes);
      yield resources.map(({ value }) => decodeEnvoyJson(SECRET, value) as unknown as ReceivedSecret);
      acks.push(nonce);
      wake();
    }
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}
