/**
 * **In**: the octets of a RateLimitRequest. **Out**: where the texts of its descriptors stand, and its numbers; a text is made
 * when it is asked for. **Fails**: INVALID_ARGUMENT where the octets are no such message, or (when asked for) a text is no UTF-8.
 */
import { isUtf8 } from 'node:buffer';
import { asBuffer } from '../../transport/bytes.ts';
import { entryOf } from '../header-map.ts';
import { octetText } from '../octet-text.ts';
import { FieldScan, malformed, WireType, wideValue } from '../protobuf-scan.ts';
import { intOf } from '../wire-values.ts';

/** Numbers of fields: of a RateLimitRequest, a RateLimitDescriptor, its override, and google.protobuf.UInt64Value. */
const REQUEST = { domain: 1, descriptors: 2, hitsAddend: 3 } as const;
const DESCRIPTOR = { entries: 1, limit: 2, hitsAddend: 3 } as const;
const LIMIT = { requestsPerUnit: 1, unit: 2 } as const;
const VALUE = 1;

export interface Override { readonly requestsPerUnit: number; readonly unit: number }

export class LimitScan {
  #bytes: Buffer;
  #domainFrom = 0;
  #domainTo = 0;
  /** As sent; 0 where it says none. */
  hits = 0;
  readonly descriptors: DescriptorScan[] = [];

  constructor(message: Uint8Array) {
    const bytes = asBuffer(message);
    this.#bytes = bytes;
    const fields = new FieldScan(bytes, 0, bytes.length);
    for (let field = fields.next(); field !== 0; field = fields.next()) {
      if (field === REQUEST.domain && fields.type === WireType.LEN) [this.#domainFrom, this.#domainTo] = [fields.from, fields.to];
      else if (field === REQUEST.descriptors && fields.type === WireType.LEN) this.descriptors.push(new DescriptorScan(bytes, fields.from, fields.to));
      else if (field === REQUEST.hitsAddend && fields.type === WireType.VARINT) this.hits = fields.value;
    }
  }

  get domain(): string {
    return this.text(this.#domainFrom, this.#domainTo);
  }

  get weight(): number {
    return this.#bytes.length;
  }

  text(from: number, to: number): string {
    const text = octetText(this.#bytes, from, to);
    if (text.includes('\uFFFD') && !isUtf8(this.#bytes.subarray(from, to))) throw malformed('a text is no UTF-8');
    return text;
  }

  /** Copies what it reads from. */
  keep(): void {
    this.#bytes = Buffer.from(this.#bytes);
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
        case DESCRIPTOR.limit: this.override = overrideOf(bytes, fields, this.override); break;
        case DESCRIPTOR.hitsAddend: this.hits = wrapped(bytes, fields, this.hits); break;
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
    if (field === VALUE && fields.type === WireType.VARINT) value = intOf(BigInt.asUintN(64, wideValue(bytes, fields.from, fields.to)));
  }
  return value;
}
