/** The methods of the discovery service, and the state of its proxies. */
import { fromBinary } from '@bufbuild/protobuf';
import type { Node } from '../../gen/envoy/config/core/v3/base_pb.ts';
import {
  AggregatedDiscoveryService,
  DeltaDiscoveryRequestSchema,
} from '../../gen/envoy/service/discovery/v3/discovery_pb.ts';
import { SecretDiscoveryService } from '../../gen/envoy/service/secret/v3/sds_pb.ts';
import { TimeSlice } from '../time/time-slice.ts';
import { type CallContext, GrpcError, type Method, type Methods, Status } from '../transport/index.ts';
import { Differences } from './differences.ts';
import { readPlainRequest } from './plain-request.ts';
import { ProxyStream } from './proxy-stream.ts';
import type { PushTimes, XdsMeters } from './push.ts';
import type { Proxy, Refusal, ResourceSource, SourceOfProxy } from './resource.ts';
import { StateOfTheWorld } from './state-of-the-world.ts';
import { shortName } from './type-urls.ts';
import type { Warming } from './warming.ts';

export interface XdsServerOptions {
  readonly source: ResourceSource;
  /**
   * Who opens a stream, as far as it is proven; called once per stream, before the first answer. `undefined`: not proven. Rejects with a
   * GrpcError to refuse the stream. Default: nobody is authenticated.
   */
  readonly authenticate?: (context: CallContext) => Promise<string | undefined>;
  /** Streams at a time; more are refused with RESOURCE_EXHAUSTED. Default 10 000. */
  readonly maxStreams?: number;
  readonly times?: Partial<PushTimes>;
  readonly meters?: XdsMeters;
  /** Called once for each response that a proxy refuses. */
  readonly onRefused?: (proxy: Proxy, refusal: Refusal) => void;
  /** A proxy has not accepted clusters in time, and has not refused them; called once for each time. */
  readonly onWarming?: (proxy: Proxy, clusters: readonly Warming[]) => void;
  /** A push failed inside of the server: the proxy keeps what it has, and its stream ends. */
  readonly onFault?: (proxy: Proxy, error: unknown) => void;
}

export interface TypeState {
  readonly type: string;
  /** `refused`: the proxy keeps what it had. `stale`: sent, and not accepted yet. */
  readonly state: 'synced' | 'stale' | 'refused' | 'not sent';
  readonly sent: string | undefined;
  readonly accepted: string | undefined;
  readonly refusal: Refusal | undefined;
}

export interface ProxyState {
  readonly proxy: Proxy;
  readonly form: 'state of the world' | 'delta';
  readonly connectedAtMs: number;
  /** Version of the resources that were pushed last, and whether the proxy has accepted all of them. */
  readonly version: string | undefined;
  readonly isSynced: boolean;
  readonly types: readonly TypeState[];
  /** Clusters that it has not accepted in time, and not refused. */
  readonly warming: readonly Warming[];
}

interface Open {
  readonly proxy: Proxy;
  readonly form: ProxyState['form'];
  readonly stream: ProxyStream;
  readonly connectedAtMs: number;
}

/**
 * Envoy accepts a cluster when it has its endpoints, secrets and the answer of DNS: on a busy machine, after seconds. A request keeps its
 * route while filters hold it, and looks for the cluster after: checks of Sluice take up to 220 ms by Envoy's clock, and longer on a busy
 * machine.
 */
const TIMES: PushTimes = { acceptMs: 10_000, yieldMs: 1000, lingerMs: 500 };
const MAX_STREAMS = 10_000;

export class XdsServer {
  readonly #options: XdsServerOptions;
  readonly #times: PushTimes;
  readonly #open = new Set<Open>();
  readonly #slice = new TimeSlice();
  #queue: Promise<void> = Promise.resolve();

  constructor(options: XdsServerOptions) {
    this.#options = options;
    this.#times = { ...TIMES, ...options.times };
  }

  /** The source has newer resources; `atMs`, by performance.now(): since when. */
  changed(atMs = performance.now()): void {
    for (const { stream } of this.#open) stream.changed(atMs);
  }

  proxies(): readonly ProxyState[] {
    return [...this.#open].map(({ proxy, form, stream, connectedAtMs }) => ({
      proxy,
      form,
      connectedAtMs,
      version: stream.pushing ?? stream.inForce,
      isSynced: stream.isSynced,
      warming: stream.unaccepted.clusters,
      types: [...stream.subscriptions.values()].map(({ typeUrl, sent, accepted, refusal, isSettled }) => ({
        type: shortName(typeUrl),
        state: refusal !== undefined ? 'refused' : sent === undefined ? 'not sent' : isSettled ? 'synced' : 'stale',
        sent,
        accepted,
        refusal,
      })),
    }));
  }

  get methods(): Methods {
    const plain: Method = { kind: 'stream', handle: (requests, context) => this.#plain(requests, context) };
    const delta: Method = { kind: 'stream', handle: (requests, context) => this.#delta(requests, context) };
    return new Map([
      [`/${AggregatedDiscoveryService.typeName}/StreamAggregatedResources`, plain],
      [`/${AggregatedDiscoveryService.typeName}/DeltaAggregatedResources`, delta],
      [`/${SecretDiscoveryService.typeName}/StreamSecrets`, plain],
      [`/${SecretDiscoveryService.typeName}/DeltaSecrets`, delta],
    ]);
  }

  #plain(requests: AsyncIterable<Uint8Array>, context: CallContext): AsyncGenerator<Uint8Array> {
    return this.#serve('state of the world', requests, context, (bytes) => {
      const request = readPlainRequest(bytes);
      return {
        ...request,
        give: (stream) =>
          stream.subscription(request.typeUrl, (typeUrl) => new StateOfTheWorld(typeUrl)).receive(request),
      };
    });
  }

  #delta(requests: AsyncIterable<Uint8Array>, context: CallContext): AsyncGenerator<Uint8Array> {
    return this.#serve('delta', requests, context, (bytes) => {
      const request = fromBinary(DeltaDiscoveryRequestSchema, bytes);
      return {
        ...request,
        give: (stream) => stream.subscription(request.typeUrl, (typeUrl) => new Differences(typeUrl)).receive(request),
      };
    });
  }

  async *#serve(
    form: ProxyState['form'],
    requests: AsyncIterable<Uint8Array>,
    context: CallContext,
    decode: (bytes: Uint8Array) => Asked,
  ): AsyncGenerator<Uint8Array, void, undefined> {
    const reader = requests[Symbol.asyncIterator]();
    const first = await reader.next();
    if (first.done === true) return;
    const { asked, open, own } = await this.#admit(form, first.value, context, decode).catch((error: unknown) => {
      if (!context.signal.aborted)
        this.#options.meters?.streamRefused?.(error instanceof GrpcError ? error.code : Status.INTERNAL);
      throw error;
    });
    const { proxy, stream } = open;
    let failure: unknown;
    const fail = (error: unknown): void => {
      failure ??= error;
      stream.end();
    };
    const end = (): void => stream.end();
    context.draining.addEventListener('abort', end);
    try {
      this.#give(open, asked);
      void this.#read(open, reader, decode).then(end, fail);
      stream.push().catch((error: unknown) => {
        this.#options.onFault?.(proxy, error);
        fail(new GrpcError(Status.INTERNAL, 'the control plane failed to make resources; its log says why'));
      });
      if (context.draining.aborted) return;
      yield* stream.responses();
      if (failure !== undefined) throw failure;
    } finally {
      stream.end();
      context.draining.removeEventListener('abort', end);
      this.#open.delete(open);
      own.close?.();
    }
  }

  /** Rejects with a GrpcError if the stream is refused. */
  async #admit(
    form: ProxyState['form'],
    first: Uint8Array,
    context: CallContext,
    decode: (bytes: Uint8Array) => Asked,
  ): Promise<{ readonly asked: Asked; readonly open: Open; readonly own: SourceOfProxy }> {
    const { maxStreams = MAX_STREAMS, source, authenticate, meters } = this.#options;
    const asked = decoded(decode, first);
    const node = nodeOf(asked.node);
    const identity = await authenticate?.(context);
    if (this.#open.size >= maxStreams)
      throw new GrpcError(Status.RESOURCE_EXHAUSTED, `${maxStreams} proxies are connected; the limit is reached`);
    const proxy: Proxy = { ...node, peer: context.peer, identity };
    const own = source.connect(proxy, () => stream.changed());
    const { onWarming } = this.#options;
    const stream = new ProxyStream(
      own,
      this.#times,
      () => this.#turn(),
      meters,
      (clusters) => onWarming?.(proxy, clusters),
    );
    const open: Open = { proxy, form, stream, connectedAtMs: Date.now() };
    this.#open.add(open);
    return { asked, open, own };
  }

  async #read(open: Open, reader: AsyncIterator<Uint8Array>, decode: (bytes: Uint8Array) => Asked): Promise<void> {
    for (let next = await reader.next(); next.done !== true; next = await reader.next())
      this.#give(open, decoded(decode, next.value));
  }

  #give({ proxy, stream }: Open, asked: Asked): void {
    const before = stream.refusals;
    asked.give(stream);
    for (const refusal of stream.refusals) if (!before.includes(refusal)) this.#options.onRefused?.(proxy, refusal);
    stream.received(asked.typeUrl);
  }

  /** Resources for many proxies are made one after the other, in slices, so that none holds the event loop. */
  #turn(): Promise<void> {
    this.#queue = this.#queue.then(() => (this.#slice.isOver ? this.#slice.next() : undefined));
    return this.#queue;
  }
}

interface Asked {
  readonly node?: Node | undefined;
  readonly typeUrl: string;
  give(stream: ProxyStream): void;
}

function decoded(decode: (bytes: Uint8Array) => Asked, bytes: Uint8Array): Asked {
  try {
    return decode(bytes);
  } catch (error) {
    throw new GrpcError(Status.INVALID_ARGUMENT, 'the request is malformed', { cause: error });
  }
}

function nodeOf(node: Node | undefined): Omit<Proxy, 'peer' | 'identity'> {
  if (node === undefined || node.id === '')
    throw new GrpcError(
      Status.INVALID_ARGUMENT,
      'the first request has no node id; set node.id in the bootstrap of the proxy',
    );
  const { id, cluster, metadata = {}, locality } = node;
  return {
    id,
    cluster,
    metadata,
    locality:
      locality === undefined ? undefined : { region: locality.region, zone: locality.zone, subZone: locality.subZone },
  };
}
