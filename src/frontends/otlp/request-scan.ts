/**
 * Walks an ExportLogsServiceRequest record by record.
 * **In**: its bytes. **Out**: log records, each with its resource and scope. **Fails**: with a `Malformed` before the first record, if
 * anything but the inside of a record cannot be decoded.
 */
import type { Value } from '../../attributes/values.ts';
import { FieldScan, WireType } from '../../protobuf/scan.ts';
import { addDyn, checkKeyValue } from './any-value.ts';
import { hasParts, mergedMessage, startLookingForParts } from './merged-record.ts';

const RESOURCE_LOGS = 1;
/** Of a ResourceLogs, and of a ScopeLogs. */
const [OWNER, CHILDREN] = [1, 2];
const RESOURCE_ATTRIBUTES = 1;
export const [SCOPE_NAME, SCOPE_VERSION, SCOPE_ATTRIBUTES] = [1, 2, 3];

/** A Resource or an InstrumentationScope, which its records share; decoded when first read. */
export class RecordOwner {
  readonly bytes: Buffer;
  readonly #from: number;
  readonly #to: number;
  readonly #attributes: number;
  #map: ReadonlyMap<string, Value> | undefined;
  /** For readers that decode parts of it once for all records. */
  cached: unknown;

  constructor(bytes: Buffer, from: number, to: number, attributes: number) {
    this.bytes = bytes;
    this.#from = from;
    this.#to = to;
    this.#attributes = attributes;
  }

  /** Calls `each` with the range of every attribute, a KeyValue. */
  each(each: (from: number, to: number) => void): void {
    const fields = new FieldScan(this.bytes, this.#from, this.#to);
    for (let field = fields.next(); field !== 0; field = fields.next())
      if (field === this.#attributes && fields.type === WireType.LEN) each(fields.from, fields.to);
  }

  get attributes(): ReadonlyMap<string, Value> {
    if (this.#map === undefined) {
      const map = new Map<string, Value>();
      this.each((from, to) => addDyn(map, this.bytes, from, to));
      this.#map = map;
    }
    return this.#map;
  }

  text(number: number): string {
    let text = '';
    const fields = new FieldScan(this.bytes, this.#from, this.#to);
    for (let field = fields.next(); field !== 0; field = fields.next())
      if (field === number && fields.type === WireType.LEN) text = this.bytes.toString('utf8', fields.from, fields.to);
    return text;
  }
}

/** Throws a `Malformed` if the request cannot be walked. */
export function checkRequest(bytes: Buffer, from: number, to: number): void {
  for (const resource of ranges(bytes, from, to, RESOURCE_LOGS)) {
    ownerOf(bytes, resource, RESOURCE_ATTRIBUTES);
    for (const scope of ranges(bytes, resource.from, resource.to, CHILDREN)) {
      ownerOf(bytes, scope, SCOPE_ATTRIBUTES);
      const records = new FieldScan(bytes, scope.from, scope.to);
      while (records.next() !== 0);
    }
  }
}

export interface FoundRecord {
  readonly resource: RecordOwner;
  readonly scope: RecordOwner;
  readonly from: number;
  readonly to: number;
}

export function* recordsOf(bytes: Buffer, from: number, to: number): Generator<FoundRecord> {
  for (const resourceLogs of ranges(bytes, from, to, RESOURCE_LOGS)) {
    const resource = ownerOf(bytes, resourceLogs, RESOURCE_ATTRIBUTES);
    for (const scopeLogs of ranges(bytes, resourceLogs.from, resourceLogs.to, CHILDREN)) {
      const scope = ownerOf(bytes, scopeLogs, SCOPE_ATTRIBUTES);
      for (const record of ranges(bytes, scopeLogs.from, scopeLogs.to, CHILDREN))
        yield { resource, scope, from: record.from, to: record.to };
    }
  }
}

interface Range {
  readonly from: number;
  readonly to: number;
}

/** The occurrences of a field. The yielded object is the cursor itself. */
function* ranges(bytes: Buffer, from: number, to: number, wanted: number): Generator<Range> {
  const fields = new FieldScan(bytes, from, to);
  for (let field = fields.next(); field !== 0; field = fields.next())
    if (field === wanted && fields.type === WireType.LEN) yield fields;
}

/**
 * The resource of a ResourceLogs, or the scope of a ScopeLogs, which may follow its children. Two of them are merged, as protobuf says.
 * Throws a `Malformed`.
 */
function ownerOf(bytes: Buffer, { from, to }: Range, attributes: number): RecordOwner {
  let found: Range | undefined;
  let merged: Buffer | undefined;
  for (const one of ranges(bytes, from, to, OWNER)) {
    if (found !== undefined)
      merged = Buffer.concat([merged ?? bytes.subarray(found.from, found.to), bytes.subarray(one.from, one.to)]);
    found = { from: one.from, to: one.to };
  }
  const owner =
    merged === undefined
      ? new RecordOwner(bytes, found?.from ?? 0, found?.to ?? 0, attributes)
      : new RecordOwner(merged, 0, merged.length, attributes);
  startLookingForParts();
  owner.each((at, end) => checkKeyValue(owner.bytes, at, end));
  if (!hasParts()) return owner;
  const whole = merged ?? bytes.subarray(found?.from, found?.to);
  const copy = mergedMessage(whole, 0, whole.length, attributes);
  const ownerOfCopy = new RecordOwner(copy, 0, copy.length, attributes);
  ownerOfCopy.each((at, end) => checkKeyValue(copy, at, end));
  return ownerOfCopy;
}
