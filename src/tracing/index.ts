/**
 * The door of tracing: spans of what `sluice ratelimit` does, by OpenTelemetry, named as envoyproxy/ratelimit names them.
 * **In**: who we are, and what is to be traced. **Out**: the same, wrapped; spans go to a collector in batches.
 * **Fails**: where the environment makes no exporter; never a call. What a collector does not take is lost, and said.
 *
 * Its libraries are heavy, so this folder is loaded only where tracing is on; where it is off, nothing is wrapped.
 */
import { randomUUID } from 'node:crypto';
import { getNumberFromEnv } from '@opentelemetry/core';
import {
  defaultResource,
  detectResources,
  type Resource,
  resourceAttributesEnvDetector,
  resourceFromAttributes,
} from '@opentelemetry/resources';
import {
  BatchSpanProcessor,
  type BatchSpanProcessorOptions,
  ParentBasedSampler,
  TraceIdRatioBasedSampler,
  TracerProvider,
} from '@opentelemetry/sdk-trace';
import type { RateLimitService } from '../ratelimit/call.ts';
import type { CountStore } from '../ratelimit/charge/store.ts';
import type { Methods } from '../transport/transport.ts';
import { ActiveContext } from './active-context.ts';
import { openExporter, type Protocol } from './exporter.ts';
import { tracedMethods } from './grpc-spans.ts';
import { saidAtStart, type TracingLog } from './said-at-start.ts';
import { type AnswerJson, tracedJson, tracedService } from './service-spans.ts';
import { TracedStore } from './store-spans.ts';

export interface TracingOptions {
  readonly serviceName: string;
  readonly serviceNamespace: string;
  /** '': a uuid. */
  readonly serviceInstanceId: string;
  readonly protocol: Protocol;
  /** Of traces that begin here; one that a caller has begun is traced if the caller traces it. */
  readonly samplingRate: number;
  readonly log: TracingLog;
}

export interface Tracing {
  /** A span for each call. */
  methods(methods: Methods): Methods;
  service(service: RateLimitService): RateLimitService;
  /** A span for each trip of a call that is traced. */
  readonly store: (store: CountStore, pool: 'others' | 'per second') => CountStore;
  json<Answer>(answer: AnswerJson<Answer>): AnswerJson<Answer>;
  /** Sends what is left. False where the collector has not taken it in so long: what still tries then goes on in the background. */
  close(withinMs: number): Promise<boolean>;
}

/** No attribute is longer: what a caller sends stands in one. */
const MOST_ATTRIBUTE_CHARACTERS = 16_384;

/** Rejects where the environment (OTEL_EXPORTER_OTLP_...) makes no exporter. */
export async function openTracing(options: TracingOptions): Promise<Tracing> {
  const provider = await saidAtStart(options.log, () => openProvider(options));
  const active = new ActiveContext();
  // Named as in the reference, but for the calls themselves, whose spans are made by a library there.
  const tracers = {
    calls: provider.getTracer('sluice'),
    service: provider.getTracer('ratelimit'),
    json: provider.getTracer('ratelimit server'),
    redis: provider.getTracer('redis.fixedCacheImpl'),
  };
  return {
    methods: (methods) => tracedMethods(methods, tracers.calls, active),
    service: (service) => tracedService(service, tracers.service, active),
    store: (store, pool) =>
      new TracedStore(store, { tracer: tracers.redis, active, isPerSecond: pool === 'per second' }),
    json: (answer) => tracedJson(answer, { service: tracers.service, json: tracers.json }, active),
    async close(withinMs) {
      const isOver = provider.shutdown().then(
        () => true,
        () => false,
      );
      let timer: NodeJS.Timeout | undefined;
      const late = new Promise<false>((resolve) => {
        timer = setTimeout(() => resolve(false), withinMs);
      });
      return Promise.race([isOver, late]).finally(() => clearTimeout(timer));
    },
  };
}

async function openProvider(options: TracingOptions): Promise<TracerProvider> {
  return new TracerProvider({
    resource: resourceOf(options),
    sampler: new ParentBasedSampler({ root: new TraceIdRatioBasedSampler(options.samplingRate) }),
    spanProcessors: [
      new BatchSpanProcessor({ exporter: await openExporter(options.protocol, options.log), ...batching() }),
    ],
    spanLimits: {
      attributeValueLengthLimit:
        getNumberFromEnv('OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT') ?? MOST_ATTRIBUTE_CHARACTERS,
    },
  });
}

/** OTEL_RESOURCE_ATTRIBUTES add to what the settings say. */
function resourceOf({ serviceName, serviceNamespace, serviceInstanceId }: TracingOptions): Resource {
  return defaultResource()
    .merge(detectResources({ detectors: [resourceAttributesEnvDetector] }))
    .merge(
      resourceFromAttributes({
        'service.name': serviceName,
        ...(serviceNamespace === '' ? {} : { 'service.namespace': serviceNamespace }),
        'service.instance.id': serviceInstanceId === '' ? randomUUID() : serviceInstanceId,
      }),
    );
}

/** As Go's SDK reads it, which the reference uses; here the library does not. */
function batching(): Omit<BatchSpanProcessorOptions, 'exporter'> {
  const read = {
    scheduledDelayMillis: 'OTEL_BSP_SCHEDULE_DELAY',
    exportTimeoutMillis: 'OTEL_BSP_EXPORT_TIMEOUT',
    maxQueueSize: 'OTEL_BSP_MAX_QUEUE_SIZE',
    maxExportBatchSize: 'OTEL_BSP_MAX_EXPORT_BATCH_SIZE',
  };
  return Object.fromEntries(
    Object.entries(read).flatMap(([option, name]) => {
      const value = getNumberFromEnv(name);
      return value === undefined || value <= 0 ? [] : [[option, value]];
    }),
  );
}
