/**
 * OpenTelemetry spans of `sluice ratelimit`, named as in envoyproxy/ratelimit.
 * **In**: resource attributes; methods, service and stores to trace. **Out**: the wrapped objects; spans are exported in batches.
 * **Fails**: if the environment of the exporter is invalid; never a call. Spans that the collector does not accept are lost, and
 * logged.
 *
 * The libraries are heavy, so this folder is imported only when tracing is on; otherwise nothing is wrapped.
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
import type { ChargeStore } from '../ratelimit/charge/store.ts';
import { settlesWithin } from '../time/settles-within.ts';
import type { Methods } from '../transport/transport.ts';
import { ActiveContext } from './active-context.ts';
import { openExporter, type Protocol, type TracingLog, withStartupWarnings } from './exporter.ts';
import { tracedMethods } from './grpc-spans.ts';
import { type AnswerJson, tracedJson, tracedService } from './service-spans.ts';
import { TracedStore } from './store-spans.ts';

export interface TracingOptions {
  readonly serviceName: string;
  readonly serviceNamespace: string;
  /** '': a random UUID. */
  readonly serviceInstanceId: string;
  readonly protocol: Protocol;
  /** Sampled share of the traces that begin here; a caller's trace keeps the caller's decision. */
  readonly samplingRate: number;
  readonly log: TracingLog;
}

export interface Tracing {
  /** Adds a server span to each call. */
  methods(methods: Methods): Methods;
  service(service: RateLimitService): RateLimitService;
  /** Adds a span to each round trip of a traced call. */
  readonly store: (store: ChargeStore, pool: 'others' | 'per second') => ChargeStore;
  json<Answer>(answer: AnswerJson<Answer>): AnswerJson<Answer>;
  /** Flushes the last spans. False if that takes longer; retries then continue in the background. */
  close(withinMs: number): Promise<boolean>;
}

/** Attributes contain values from callers, so their length is bounded. */
const MAX_ATTRIBUTE_CHARACTERS = 16_384;

/** Rejects if OTEL_EXPORTER_OTLP_... is invalid. */
export async function openTracing(options: TracingOptions): Promise<Tracing> {
  const provider = await withStartupWarnings(options.log, () => openProvider(options));
  const active = new ActiveContext();
  // Named as in the reference, except `sluice`: the reference leaves the spans of calls to a library.
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
    close: (withinMs) => settlesWithin(withinMs, provider.shutdown()).catch(() => false),
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
      attributeValueLengthLimit: getNumberFromEnv('OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT') ?? MAX_ATTRIBUTE_CHARACTERS,
    },
  });
}

/** The settings override OTEL_RESOURCE_ATTRIBUTES. */
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

/** OTEL_BSP_..., which Go's SDK reads and this one does not. */
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
