/** StreamMetricsMessage: from its own JSON form (recognised by `envoyMetrics`), or one sample from attributes by name. */
import { fromJson, type JsonObject, type JsonValue } from '@bufbuild/protobuf';
import {
  type StreamMetricsMessage,
  StreamMetricsMessageSchema,
} from '../../../gen/envoy/service/metrics/v3/metrics_service_pb.ts';
import { parseTimestamp } from '../../attributes/time-text.ts';
import {
  asText,
  asTextMap,
  asTimestamp,
  at,
  fill,
  flat,
  isObject,
  type Places,
  type Write,
  wrong,
} from './short-form.ts';

const TYPES = ['counter', 'gauge', 'summary', 'untyped', 'histogram'] as const;

const asMs: Write = (value, name) => {
  const time = parseTimestamp(asText(asTimestamp(value, name), name));
  return String(Math.floor(time?.toMs() ?? 0));
};
const asLabels: Write = (value, name) =>
  Object.entries(asTextMap(value, name)).map(([label, text]) => ({ name: label, value: text }));
const entriesOf = (value: JsonValue, name: string): [string, JsonValue][] => {
  if (!isObject(value)) throw wrong(`${name} is ${JSON.stringify(value)}; expected a map`);
  return Object.entries(value);
};
const boundOf = (text: string): number | 'Infinity' => (text === '+Inf' ? 'Infinity' : Number(text));

const placesOf = (type: (typeof TYPES)[number]): Places => ({
  'metric.labels': at('label', asLabels),
  'metric.value': at(`${type}.value`),
  'metric.count': at(`${type}.sampleCount`),
  'metric.sum': at(`${type}.sampleSum`),
  'metric.quantiles': at('summary.quantile', (value, name) =>
    entriesOf(value, name).map(([quantile, of]) => ({ quantile: Number(quantile), value: of })),
  ),
  'metric.buckets': at('histogram.bucket', (value, name) =>
    entriesOf(value, name).map(([bound, of]) => ({ upperBound: boundOf(bound), cumulativeCount: of })),
  ),
  'metric.time': at('timestampMs', asMs),
});
const NODE_PLACES: Places = {
  'context.node.id': at('id', asText),
  'context.node.cluster': at('cluster', asText),
  'context.node.region': at('locality.region', asText),
  'context.node.zone': at('locality.zone', asText),
  'context.node.sub_zone': at('locality.subZone', asText),
  'context.node.metadata': at('metadata'),
};
const OF_FAMILY = new Set(['metric.name', 'metric.type', 'call']);
const KNOWN = new Set([...OF_FAMILY, ...Object.keys(placesOf('counter')), ...Object.keys(NODE_PLACES)]);

/** By default a counter. */
export function metricRequest(request: unknown): StreamMetricsMessage {
  if (isObject(request) && ('envoyMetrics' in request || 'envoy_metrics' in request))
    return fromJson(StreamMetricsMessageSchema, request);
  const given = flat(request, KNOWN);
  const valueOf = (name: string): JsonValue | undefined => given.find(([known]) => known === name)?.[1];
  const type = TYPES.find((known) => known === (valueOf('metric.type') ?? 'counter'));
  if (type === undefined)
    throw wrong(`metric.type is ${JSON.stringify(valueOf('metric.type'))}; expected one of ${TYPES.join(', ')}`);
  const wire = 'the stream of metrics';
  const [node, metric]: [JsonObject, JsonObject] = [{}, { [type]: {} }];
  const isNodes = (name: string): boolean => name in NODE_PLACES;
  fill(
    node,
    given.filter(([name]) => isNodes(name)),
    { places: NODE_PLACES, wire },
  );
  fill(
    metric,
    given.filter(([name]) => !isNodes(name) && !OF_FAMILY.has(name)),
    { places: placesOf(type), wire },
  );
  return fromJson(StreamMetricsMessageSchema, {
    identifier: { node: { id: 'sluice-call', ...node } },
    envoyMetrics: [
      { name: asText(valueOf('metric.name') ?? '', 'metric.name'), type: type.toUpperCase(), metric: [metric] },
    ],
  });
}
