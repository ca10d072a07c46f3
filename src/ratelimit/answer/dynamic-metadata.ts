import { isObject } from '../../text/json-object.ts';
import { type Descriptor, type Json, type JsonObject, overrideText, type RateLimitCall } from '../call.ts';

/**
 * Metadata for Envoy's later filters and access log (RESPONSE_DYNAMIC_METADATA): the request, and the metadata of the rules that admit it.
 */
export function dynamicMetadataOf(
  { domain, descriptors, hits }: RateLimitCall,
  ofRules: readonly JsonObject[],
): JsonObject {
  const merged: Record<string, Json> = {};
  for (const metadata of ofRules) mergeInto(merged, metadata);
  return {
    descriptors: descriptors.map(shown),
    domain,
    ...(hits === 0 ? {} : { hitsAddend: hits }),
    ...(Object.keys(merged).length === 0 ? {} : { metadata: merged }),
  };
}

function shown({ entries, hits, override }: Descriptor): JsonObject {
  return {
    entries: entries.map(([key, value]) => `${key}=${value}`),
    ...(hits === undefined ? {} : { hitsAddend: hits }),
    ...(override === undefined ? {} : { limit: overrideText(override) }),
  };
}

/** The first value of a name stays. Objects are merged deeply; lists are not. */
function mergeInto(target: Record<string, Json>, source: JsonObject): void {
  for (const [name, value] of Object.entries(source)) {
    const known = Object.hasOwn(target, name) ? target[name] : undefined;
    if (known === undefined) target[name] = isObject(value) ? copyOf(value) : value;
    else if (isObject(known) && isObject(value)) mergeInto(known as Record<string, Json>, value);
  }
}

function copyOf(value: JsonObject): JsonObject {
  const copy: Record<string, Json> = {};
  mergeInto(copy, value);
  return copy;
}
