/**
 * A light client of the discovery service, for crowds of simulated proxies. It subscribes as Envoy does (clusters, their endpoints,
 * listeners, the routes that these name), and accepts everything at once, or refuses it.
 */
import { create, type JsonObject, toBinary } from '@bufbuild/protobuf';
import { BinaryReader, WireType } from '@bufbuild/protobuf/wire';
import {
  DeltaDiscoveryRequestSchema,
  DiscoveryRequestSchema,
} from '../../gen/envoy/service/discovery/v3/discovery_pb.ts';
import { framed } from '../../src/transport/framed.ts';
import type { GrpcError, OutgoingStream, StreamsClient } from '../../src/transport/index.ts';
import { CLUSTER, ENDPOINTS, LISTENER, ROUTES } from '../../src/xds/index.ts';

export interface AdsClientOptions {
  readonly id: string;
  readonly metadata?: JsonObject;
  readonly isDelta: boolean;
  /** Tables of routes that it asks for after its listeners. */
  readonly routes?: readonly string[];
  readonly refuses?: boolean;
  /** It neither accepts nor refuses. */
  readonly isSilent?: boolean;
  /** Each response, before its ACK. */
  readonly onResponse?: (typeUrl: string, bytes: Buffer) => void;
  readonly onOver?: (why: GrpcError) => void;
}

const SERVICE = '/envoy.service.discovery.v3.AggregatedDiscoveryService';
const MAX_MESSAGE_BYTES = 64 << 20;

export class AdsClient {
  readonly #options: AdsClientOptions;
  readonly #stream: OutgoingStream;
  /** Names of the endpoints that it asked for, sorted as they came. */
  #clusters: readonly string[] = [];
  readonly #asked = new Set<string>();

  constructor(client: StreamsClient, options: AdsClientOptions) {
    this.#options = options;
    const { isDelta, onOver } = options;
    this.#stream = client.open(
      `${SERVICE}/${isDelta ? 'DeltaAggregatedResources' : 'StreamAggregatedResources'}`,
      MAX_MESSAGE_BYTES,
      { message: (bytes) => this.#take(bytes), over: (why) => onOver?.(why) },
    );
    this.#ask(CLUSTER);
  }

  close(): void {
    this.#stream.cancel();
  }

  #take(bytes: Buffer): void {
    const { isDelta, routes, onResponse } = this.#options;
    const { typeUrl, version, nonce, resources, removed } = readResponse(bytes, isDelta);
    onResponse?.(typeUrl, bytes);
    if (this.#options.isSilent === true) return;
    if (typeUrl === CLUSTER) {
      const clusters = resources.map((one) => nameOfEds(one.value)).filter((name) => name !== '');
      const before = this.#clusters;
      const gone = new Set(removed);
      this.#clusters = isDelta ? [...new Set([...before.filter((name) => !gone.has(name)), ...clusters])] : clusters;
      this.#accept(CLUSTER, version, nonce, []);
      const known = new Set(before);
      const isNew = this.#clusters.length !== before.length || this.#clusters.some((name) => !known.has(name));
      if (isNew || !this.#asked.has(ENDPOINTS))
        this.#ask(
          ENDPOINTS,
          this.#clusters,
          before.filter((name) => !this.#clusters.includes(name)),
        );
      return;
    }
    const names = typeUrl === ENDPOINTS ? this.#clusters : typeUrl === ROUTES ? (routes ?? []) : [];
    this.#accept(typeUrl, version, nonce, names);
    if (typeUrl === ENDPOINTS && !this.#asked.has(LISTENER)) this.#ask(LISTENER);
    if (typeUrl === LISTENER && routes !== undefined && !this.#asked.has(ROUTES)) this.#ask(ROUTES, routes);
  }

  readonly #last = new Map<string, { readonly version: string; readonly nonce: string }>();

  #ask(typeUrl: string, names: readonly string[] = [], gone: readonly string[] = []): void {
    const isFirst = !this.#asked.has(typeUrl);
    this.#asked.add(typeUrl);
    const { id, metadata = {}, isDelta } = this.#options;
    const node = this.#asked.size === 1 && isFirst ? { id, metadata } : undefined;
    const last = this.#last.get(typeUrl);
    this.#stream.send(
      framed(
        isDelta
          ? toBinary(
              DeltaDiscoveryRequestSchema,
              create(DeltaDiscoveryRequestSchema, {
                ...(node === undefined ? {} : { node }),
                typeUrl,
                resourceNamesSubscribe: [...names],
                resourceNamesUnsubscribe: [...gone],
              }),
            )
          : toBinary(
              DiscoveryRequestSchema,
              create(DiscoveryRequestSchema, {
                ...(node === undefined ? {} : { node }),
                typeUrl,
                resourceNames: [...names],
                versionInfo: last?.version ?? '',
                responseNonce: last?.nonce ?? '',
              }),
            ),
      ),
    );
  }

  #accept(typeUrl: string, version: string, nonce: string, names: readonly string[]): void {
    const { isDelta, refuses } = this.#options;
    const error = refuses === true ? { errorDetail: { code: 3, message: 'refused by a test' } } : {};
    this.#last.set(typeUrl, { version, nonce });
    this.#stream.send(
      framed(
        isDelta
          ? toBinary(
              DeltaDiscoveryRequestSchema,
              create(DeltaDiscoveryRequestSchema, { typeUrl, responseNonce: nonce, ...error }),
            )
          : toBinary(
              DiscoveryRequestSchema,
              create(DiscoveryRequestSchema, {
                typeUrl,
                resourceNames: [...names],
                versionInfo: refuses === true ? '' : version,
                responseNonce: nonce,
                ...error,
              }),
            ),
      ),
    );
  }
}

interface Response {
  readonly typeUrl: string;
  readonly version: string;
  readonly nonce: string;
  readonly resources: readonly { readonly value: Uint8Array }[];
  readonly removed: readonly string[];
}

/** Without decoding the resources. */
function readResponse(bytes: Uint8Array, isDelta: boolean): Response {
  const texts = new Map<number, string>();
  const resources: { value: Uint8Array }[] = [];
  const removed: string[] = [];
  const [typeField, nonceField] = [4, 5];
  for (const { field, value } of fieldsOf(bytes)) {
    if (value === undefined) continue;
    if (field === 2) resources.push({ value: anyValue(isDelta ? (partOf(value, 2) ?? EMPTY) : value) });
    else if (isDelta && field === 6) removed.push(textOf(value));
    else texts.set(field, textOf(value));
  }
  return {
    typeUrl: texts.get(typeField) ?? '',
    version: texts.get(1) ?? '',
    nonce: texts.get(nonceField) ?? '',
    resources,
    removed,
  };
}

const EMPTY = new Uint8Array();
const textOf = (bytes: Uint8Array): string => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString();
const anyValue = (any: Uint8Array): Uint8Array => partOf(any, 2) ?? EMPTY;

function partOf(bytes: Uint8Array, wanted: number): Uint8Array | undefined {
  for (const { field, value } of fieldsOf(bytes)) if (field === wanted) return value;
  return undefined;
}

/** The name of a cluster whose endpoints come by EDS (type 3); empty for others. */
function nameOfEds(cluster: Uint8Array): string {
  let name = '';
  const reader = new BinaryReader(cluster);
  while (reader.pos < reader.len) {
    const [field, type] = reader.tag();
    if (field === 1 && type === WireType.LengthDelimited) name = reader.string();
    else if (field === 2 && type === WireType.Varint) return reader.int32() === 3 ? name : '';
    else reader.skip(type, field);
  }
  return '';
}

function* fieldsOf(bytes: Uint8Array): Generator<{ readonly field: number; readonly value: Uint8Array | undefined }> {
  const reader = new BinaryReader(bytes);
  while (reader.pos < reader.len) {
    const [field, type] = reader.tag();
    if (type === WireType.LengthDelimited) {
      const length = reader.uint32();
      yield { field, value: bytes.subarray(reader.pos, reader.pos + length) };
      reader.pos += length;
    } else {
      reader.skip(type, field);
      yield { field, value: undefined };
    }
  }
}
