/**
 * **In**: the bytes of a RateLimitRequest. **Out**: its numbers, and the ranges of its texts; a text is decoded when it is read, with
 * U+FFFD for invalid UTF-8. **Fails**: with INVALID_ARGUMENT if the request is malformed, or has more descriptors or entries than allowed.
 */
import { asBuffer } from '../../transport/byte-range.ts';
import type { ByteRange } from '../../transport/byte-range.ts';
import { GrpcError, Status } from '../../transport/transport.ts';
import { entryOf } from '../../protobuf/header-map.ts';
import { utf8Text } from '../../protobuf/utf8-text.ts';
import { FieldScan, WireType, wideValue } from '../../protobuf/scan.ts';
import { intOf } from '../wire-values.ts';

/** Field numbers of a RateLimitRequest, a RateLimitDescriptor, its override, and google.protobuf.UInt64Value. */
const REQUEST = { domain: 1, descriptors: 2, hitsAddend: 3 } as const;
const DESCRIPTOR = { entries: 1, limit: 2, hitsAddend: 3 } as const;
const LIMIT = { requestsPerUnit: 1, unit: 2 } as const;
const VALUE = 1;

/** In all descriptors of a request together; far more than a proxy sends, since the cost of a request grows with them. */
const MAX_ENTRIES = 10_000;

export interface Override {
  readonly requestsPerUnit: number;
  readonly unit: number;
}

export class LimitScan {
  #bytes: Buffer;
  /** The message's range in `#bytes`. */
  readonly #from: number;
  readonly #to: number;
  /** The number of bytes by which {@link keep} moved the message to the front. */
  #moved = 0;
  #isOwn = false;
  #domainFrom = 0;
  #domainTo = 0;
  /** As sent; 0 if it was not. */
  hits = 0;
  readonly descriptors: DescriptorScan[] = [];

  constructor(request: ByteRange, maxDescriptors: number) {
    const bytes = asBuffer(request.bytes);
    this.#bytes = bytes;
    this.#from = request.from;
    this.#to = request.to;
    let entries = 0;
    const fields = new FieldScan(bytes, request.from, request.to);
    for (let field = fields.next(); field !== 0; field = fields.next()) {
      if (field === REQUEST.domain && fields.type === WireType.LEN)
        [this.#domainFrom, this.#domainTo] = [fields.from, fields.to];
      else if (field === REQUEST.descriptors && fields.type === WireType.LEN) {
        if (this.descriptors.length === maxDescriptors)
          throw new GrpcError(Status.INVALID_ARGUMENT, `the request has more than ${maxDescriptors} descriptors`);
        const descriptor = new DescriptorScan(bytes, fields.from, fields.to, MAX_ENTRIES - entries);
        entries += descriptor.entries.length / 4;
        this.descriptors.push(descriptor);
      } else if (field === REQUEST.hitsAddend && fields.type === WireType.VARINT) this.hits = fields.value;
    }
  }

  get domain(): string {
    return this.text(this.#domainFrom, this.#domainTo);
  }

  get weight(): number {
    return this.#to - this.#from;
  }

  text(from: number, to: number): string {
    return utf8Text(this.#bytes, from - this.#moved, to - this.#moved);
  }

  /** Copies the message, so that it outlives the transport's buffer; once, though each of its descriptors asks for it. */
  keep(): void {
    if (this.#isOwn) return;
    this.#isOwn = true;
    this.#bytes = Buffer.from(this.#bytes.subarray(this.#from - this.#moved, this.#to - this.#moved));
    this.#moved = this.#from;
  }
}

export class DescriptorScan {
  /** Four positions for each entry: the begin and end of its key, then of its value. */
  readonly entries: number[] = [];
  /** `undefined` if it was not sent. */
  hits: number | bigint | undefined;
  override: Override | undefined;

  /** `maxEntries`: the rest of {@link MAX_ENTRIES} for the request. */
  constructor(bytes: Buffer, from: number, to: number, maxEntries: number) {
    const fields = new FieldScan(bytes, from, to);
    for (let field = fields.next(); field !== 0; field = fields.next()) {
      if (fields.type !== WireType.LEN) continue;
      switch (field) {
        case DESCRIPTOR.entries: {
          if (this.entries.length === 4 * maxEntries)
            throw new GrpcError(
              Status.INVALID_ARGUMENT,
              `the descriptors of the request have more than ${MAX_ENTRIES} entries`,
            );
          const { keyFrom, keyTo, valueFrom, valueTo } = entryOf(bytes, fields.from, fields.to);
          this.entries.push(keyFrom, keyTo, valueFrom, valueTo);
          break;
        }
        case DESCRIPTOR.limit:
          this.override = overrideOf(bytes, fields, this.override);
          break;
        case DESCRIPTOR.hitsAddend:
          this.hits = wrapped(bytes, fields, this.hits);
          break;
      }
    }
  }
}

/** A message that occurs twice is merged: fields that the second lacks come from the first. */
function overrideOf(bytes: Buffer, { from, to }: FieldScan, before: Override | undefined): Override {
  const fields = new FieldScan(bytes, from, to);
  let { requestsPerUnit, unit } = before ?? { requestsPerUnit: 0, unit: 0 };
  for (let field = fields.next(); field !== 0; field = fields.next()) {
    if (fields.type !== WireType.VARINT) continue;
    if (field === LIMIT.requestsPerUnit) requestsPerUnit = fields.value;
    else if (field === LIMIT.unit) unit = fields.value | 0;
  }
  return { requestsPerUnit, unit };
}

function wrapped(bytes: Buffer, { from, to }: FieldScan, before: number | bigint | undefined): number | bigint {
  const fields = new FieldScan(bytes, from, to);
  let value = before ?? 0;
  for (let field = fields.next(); field !== 0; field = fields.next()) {
    if (field === VALUE && fields.type === WireType.VARINT)
      value = intOf(BigInt.asUintN(64, wideValue(bytes, fields.from, fields.to)));
  }
  return value;
}
