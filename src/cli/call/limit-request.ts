/**
 * RateLimitRequest: from its own JSON form, from `{ domain, descriptors: [[{ user: ann }, { path: /a }]], hits }`, or from one
 * descriptor as attributes: `{ ratelimit.domain: shop, ratelimit.descriptor: { user: ann } }`.
 */
import { fromJson, type JsonObject, type JsonValue } from '@bufbuild/protobuf';
import { meant } from '../../text/nearest.ts';
import { RateLimitRequestSchema, type RateLimitRequest } from '../../../gen/envoy/service/ratelimit/v3/rls_pb.ts';
import { asText, flat, isObject, wrong } from './short-form.ts';

const BY_ATTRIBUTE = new Set([
  'ratelimit.domain',
  'ratelimit.descriptor',
  'ratelimit.entries',
  'ratelimit.hits',
  'call',
]);

export function limitRequest(request: unknown): RateLimitRequest {
  if (!isObject(request))
    throw wrong('the request is not a map; write `domain: shop` and `descriptors: [[{ user: ann }]]`');
  const { domain, descriptors, hits, hitsAddend, hits_addend, call: _call, ...rest } = request;
  if (domain === undefined && descriptors === undefined) return byAttribute(request);
  const [unknown] = Object.keys(rest);
  if (unknown !== undefined)
    throw wrong(`${unknown} is not a key of a limit request${meant(unknown, ['domain', 'descriptors', 'hits'])}`);
  return fromJson(RateLimitRequestSchema, {
    domain: domain ?? '',
    descriptors: listOf(descriptors ?? []).map(descriptorOf),
    hitsAddend: hits ?? hitsAddend ?? hits_addend ?? 0,
  });
}

function byAttribute(request: JsonObject): RateLimitRequest {
  const given = new Map(flat(request, BY_ATTRIBUTE));
  const unknown = [...given.keys()].find((name) => !BY_ATTRIBUTE.has(name));
  if (unknown !== undefined) throw wrong(`${unknown} is not a key of a limit request${meant(unknown, BY_ATTRIBUTE)}`);
  const entries = given.get('ratelimit.entries') ?? entriesOf(given.get('ratelimit.descriptor') ?? {});
  const hits = given.get('ratelimit.hits');
  // In the field of the descriptor; the request's field cannot express 0 (inspect only).
  return fromJson(RateLimitRequestSchema, {
    domain: given.get('ratelimit.domain') ?? '',
    descriptors: [{ entries, ...(hits === undefined ? {} : { hitsAddend: asText(hits, 'ratelimit.hits') }) }],
  });
}

function listOf(descriptors: JsonValue): readonly JsonValue[] {
  if (!Array.isArray(descriptors))
    throw wrong('descriptors is not a list; write `descriptors: [[{ user: ann }], [{ path: /a }]]`');
  return descriptors;
}

/** A list of one-entry maps, a map (whose order is kept), or the message's own form. */
function descriptorOf(descriptor: JsonValue): JsonValue {
  if (isObject(descriptor)) return 'entries' in descriptor ? descriptor : { entries: entriesOf(descriptor) };
  if (!Array.isArray(descriptor))
    throw wrong(
      `a descriptor is ${JSON.stringify(descriptor)}; write a list of entries, \`[{ user: ann }, { path: /a }]\``,
    );
  return {
    entries: descriptor.flatMap((entry) =>
      isObject(entry) && 'key' in entry && 'value' in entry ? [entry] : entriesOf(entry),
    ),
  };
}

function entriesOf(entry: JsonValue): JsonObject[] {
  if (!isObject(entry)) throw wrong(`an entry of a descriptor is ${JSON.stringify(entry)}; write \`{ user: ann }\``);
  return Object.entries(entry).map(([key, value]) => ({ key, value: asText(value, key) }));
}
