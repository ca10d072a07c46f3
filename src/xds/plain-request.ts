/**
 * Requests of the state of the world, with their names as they stand on the wire: each ACK repeats all of them, which are most of its
 * bytes.
 * **In**: the bytes of a DiscoveryRequest. **Out**: its fields, and the set of names, decoded once for all requests that name the same.
 * **Fails**: by throwing, if it is not a DiscoveryRequest.
 */
import { hash } from 'node:crypto';
import { fromBinary } from '@bufbuild/protobuf';
import { type DiscoveryRequest, DiscoveryRequestSchema } from '../../gen/envoy/service/discovery/v3/discovery_pb.ts';
import { Malformed } from '../protobuf/malformed.ts';
import { FieldScan, WireType } from '../protobuf/scan.ts';

/** Shared by the subscriptions that name the same in the same order. */
export interface NameSet {
  /** The fields as they were sent. */
  readonly bytes: Uint8Array;
  readonly names: ReadonlySet<string>;
}

export interface PlainRequest extends Pick<
  DiscoveryRequest,
  'node' | 'typeUrl' | 'versionInfo' | 'responseNonce' | 'errorDetail'
> {
  /** `known`: the set of the last request, which is given again if the bytes are equal. */
  names(known: NameSet | undefined): NameSet;
}

const NAMES = DiscoveryRequestSchema.field.resourceNames.number;

export function readPlainRequest(bytes: Uint8Array): PlainRequest {
  const names: Uint8Array[] = [];
  const others: Uint8Array[] = [];
  const fields = new FieldScan(bytes, 0, bytes.length);
  let [from, isNames] = [0, false];
  const cut = (to: number): void => {
    if (to > from) (isNames ? names : others).push(bytes.subarray(from, to));
    from = to;
  };
  for (let start = 0; fields.next() !== 0; start = fields.at) {
    const isName = fields.field === NAMES && fields.type === WireType.LEN;
    if (isName !== isNames) cut(start);
    isNames = isName;
  }
  cut(bytes.length);
  const { node, typeUrl, versionInfo, responseNonce, errorDetail } = fromBinary(
    DiscoveryRequestSchema,
    Buffer.concat(others),
  );
  const [only = EMPTY.bytes] = names;
  const named = names.length > 1 ? Buffer.concat(names) : only;
  return {
    ...(node === undefined ? {} : { node }),
    typeUrl,
    versionInfo,
    responseNonce,
    ...(errorDetail === undefined ? {} : { errorDetail }),
    names: (known) => (known !== undefined && Buffer.compare(known.bytes, named) === 0 ? known : nameSetOf(named)),
  };
}

const EMPTY: NameSet = { bytes: new Uint8Array(), names: new Set() };

function namesIn(bytes: Uint8Array): readonly string[] {
  try {
    return fromBinary(DiscoveryRequestSchema, bytes).resourceNames;
  } catch (error) {
    throw new Malformed('the request is malformed', { cause: error });
  }
}

/** In use by some subscription, by digest. */
const inUse = new Map<string, WeakRef<NameSet>>();
const unused = new FinalizationRegistry<string>((digest) => {
  if (inUse.get(digest)?.deref() === undefined) inUse.delete(digest);
});

function nameSetOf(bytes: Uint8Array): NameSet {
  if (bytes.length === 0) return EMPTY;
  const digest = hash('sha256', bytes, 'base64');
  const known = inUse.get(digest)?.deref();
  if (known !== undefined) return known;
  const resourceNames = namesIn(bytes);
  // A copy, since the buffer of a connection would stay in memory with it.
  const set: NameSet = { bytes: new Uint8Array(bytes), names: new Set(resourceNames) };
  inUse.set(digest, new WeakRef(set));
  unused.register(set, digest);
  return set;
}
