/**
 * **In**: the octets of a RateLimitRequest. **Out**: where the texts of its descriptors stand, and its numbers; a text is made
 * when it is asked for, with U+FFFD for what is no UTF-8. **Fails**: INVALID_ARGUMENT where the octets are no such message, or it has
 * more descriptors than are allowed.
 */
import { asBuffer } from '../../transport/byte-range.ts';
import type { ByteRange } from '../../transport/byte-range.ts';
import { GrpcError, Status } from '../../transport/transport.ts';
import { entryOf } from '../../protobuf/header-map.ts';
import { utf8Text } from '../../protobuf/utf8-text.ts';
import { FieldScan, WireType, wideValue } from '../../protobuf/scan.ts';
import { intOf } from '../wire-values.ts';

/** Numbers of fields: of a RateLimitRequest, a RateLimitDescriptor, its override, and google.protobuf.UInt64Value. */
const REQUEST = { domain: 1, descriptors: 2, hitsAddend: 3 } as const;
const DESCRIPTOR = { entries: 1, limit: 2, hitsAddend: 3 } as const;
const LIMIT = { requestsPerUnit: 1, unit: 2 } as const;
const VALUE = 1;

export interface Override {
  readonly requestsPerUnit: number;
  readonly unit: number;
}

export class LimitScan {
  #bytes: Buffer;
  /** Where the message stands in the octets. */
  readonly #from: number;
  readonly #to: number;
  /** So many places before they were the octets stand now. */
  #moved = 0;
  #domainFrom = 0;
  #domainTo = 0;
  /** As sent; 0 where it says none. */
  hits = 0;
  readonly descriptors: DescriptorScan[] = [];

  constructor(request: ByteRange, maxDescriptors: number) {
    const bytes = asBuffer(request.bytes);
    this.#bytes = bytes;
    this.#from = request.from;
    this.#to = request.to;
    const fields = new FieldScan(bytes, request.from, request.to);
    for (let field = fields.next(); field !== 0; field = fields.next()) {
      if (field === REQUEST.domain && fields.type === WireType.LEN)
        [this.#domainFrom, this.#domainTo] = [fields.from, fields.to];
      else if (field === REQUEST.descriptors && fields.type === WireType.LEN) {
        if (this.descriptors.length === maxDescriptors)
          throw new GrpcError(Status.INVALID_ARGUMENT, `the request has more than ${maxDescriptors} descriptors`);
        this.descriptors.push(new DescriptorScan(bytes, fields.from, fields.to));
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

  /** Copies what it reads from. */
  keep(): void {
    this.#bytes = Buffer.from(this.#bytes.subarray(this.#from - this.#moved, this.#to - this.#moved));
    this.#moved = this.#from;
  }
}

export class DescriptorScan {
  /** Of each entry four places: where its key begins and ends, where its value does. */
  readonly entries: number[] = [];
  /** `undefined` where the descriptor says none. */
  hits: number | bigint | undefined;
  override: Override | undefined;

  constructor(bytes: Buffer, from: number, to: number) {
    const fields = new FieldScan(bytes, from, to);
    for (let field = fields.next(); field !== 0; field = fields.next()) {
      if (fields.type !== WireType.LEN) continue;
      switch (field) {
        case DESCRIPTOR.entries: {
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

/** A message that stands twice is merged: what the second does not say, the first does. */
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
