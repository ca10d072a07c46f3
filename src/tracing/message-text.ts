/**
 * Requests and responses of envoy.service.ratelimit.v3 in protobuf's text format, on one line, as Go's String() prints them; without the
 * values of descriptor entries whose keys name credentials.
 */
import { HIDDEN, isSecretName, withoutSecretValue } from '../attributes/secrets.ts';
import {
  Code,
  type DescriptorStatus,
  type Json,
  type JsonObject,
  overrideText,
  type RateLimitCall,
  type RateLimitReply,
  unitName,
} from '../ratelimit/call.ts';

export function requestText({ domain, descriptors, hits }: RateLimitCall): string {
  return fields([
    text('domain', domain),
    ...descriptors.map((descriptor) =>
      message('descriptors', [
        ...descriptor.entries.map(([key, value]) =>
          message('entries', [text('key', key), text('value', isSecretName(key.toLowerCase()) ? HIDDEN : value)]),
        ),
        ...(descriptor.override === undefined ? [] : [message('limit', [overrideText(descriptor.override)])]),
        ...(descriptor.hits === undefined ? [] : [message('hits_addend', [number('value', descriptor.hits)])]),
      ]),
    ),
    number('hits_addend', hits),
  ]);
}

export function replyText({ overallCode, statuses, headers, dynamicMetadata }: RateLimitReply): string {
  return fields([
    `overall_code:${codeName(overallCode)}`,
    ...statuses.map(statusText),
    ...headers.map(([name, value]) => message('response_headers_to_add', [text('key', name), text('value', value)])),
    ...(dynamicMetadata === undefined
      ? []
      : [message('dynamic_metadata', structFields(withoutSecrets(dynamicMetadata)))]),
  ]);
}

function statusText({ code, currentLimit, remaining, resetS }: DescriptorStatus): string {
  return message('statuses', [
    `code:${codeName(code)}`,
    ...(currentLimit === undefined
      ? []
      : [
          message('current_limit', [
            text('name', currentLimit.name),
            number('requests_per_unit', currentLimit.requestsPerUnit),
            ...(currentLimit.unit === undefined ? [] : [`unit:${unitName(currentLimit.unit)}`]),
          ]),
        ]),
    number('limit_remaining', remaining),
    ...(resetS === undefined ? [] : [message('duration_until_reset', [number('seconds', resetS)])]),
  ]);
}

/** Dynamic metadata repeats the entries of descriptors, each as `KEY=VALUE`. */
const withoutSecrets = (metadata: JsonObject): JsonObject =>
  Object.fromEntries(
    Object.entries(metadata).map(([key, value]) => [key, key === 'descriptors' ? jsonWithoutSecrets(value) : value]),
  );

function jsonWithoutSecrets(value: Json): Json {
  if (typeof value === 'string') return withoutSecretValue(value);
  if (typeof value !== 'object' || value === null) return value;
  if (isList(value)) return value.map(jsonWithoutSecrets);
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, jsonWithoutSecrets(one)]));
}

/** google.protobuf.Struct. */
const structFields = (struct: JsonObject): string[] =>
  Object.entries(struct).map(([key, value]) =>
    message('fields', [text('key', key), message('value', [valueText(value)])]),
  );

function valueText(value: Json): string {
  if (value === null) return 'null_value:NULL_VALUE';
  if (typeof value === 'string') return `string_value:${JSON.stringify(value)}`;
  if (typeof value === 'number') return `number_value:${value}`;
  if (typeof value === 'boolean') return `bool_value:${value}`;
  if (isList(value))
    return message(
      'list_value',
      value.map((one) => message('values', [valueText(one)])),
    );
  return message('struct_value', structFields(value));
}

const isList = (value: readonly Json[] | JsonObject): value is readonly Json[] => Array.isArray(value);
const codeName = (code: Code): string => (code === Code.OVER_LIMIT ? 'OVER_LIMIT' : 'OK');

/** Empty and zero fields are omitted. */
const fields = (all: readonly string[]): string => all.filter((one) => one !== '').join(' ');
const message = (name: string, all: readonly string[]): string => `${name}:{${fields(all)}}`;
const text = (name: string, value: string): string => (value === '' ? '' : `${name}:${JSON.stringify(value)}`);
const number = (name: string, value: number): string => (value === 0 ? '' : `${name}:${value}`);
