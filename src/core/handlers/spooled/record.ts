/**
 * A report as a record of a spool.
 * **In**: a report and the definition of its sink. **Out**: bytes, and the report again, its values typed as before.
 * **Fails**: writing with a `CannotCross`, if a value has no form on disk; reading with a `Malformed`.
 *
 * Reports are appended in groups. The first report of a group that uses a definition carries it, and a cursor moves from group to group
 * only, so that a reader that begins at the cursor knows every definition, even of rules that no policy has any more.
 */
import { createHash } from 'node:crypto';
import type { ReportEntry, Shape } from '../../../adapters/contract.ts';
import { double, type FieldCodec, message, text, texts } from '../../../adapters/remote/codec/fields.ts';
import { shape } from '../../../adapters/remote/codec/host-messages.ts';
import { anyValue, valuesBy } from '../../../adapters/remote/codec/values.ts';
import { Malformed } from '../../../protobuf/malformed.ts';
import { WireType } from '../../../protobuf/scan.ts';
import { ProtobufWriter } from '../../../protobuf/writer.ts';
import type { Rule } from '../../rules/rule.ts';

/** From which a handler makes the sink of a report. */
export interface SinkDefinition {
  readonly rule: string;
  readonly params: unknown;
  readonly shape: Shape;
  /** Names of fields that may have a secret in the clear. */
  readonly reveals: readonly string[];
  /** Names of params that are secret. */
  readonly secretParams: readonly string[];
}

export interface EncodedDefinition extends SinkDefinition {
  /** Of its content; equal definitions have equal keys. */
  readonly key: string;
  readonly encoded: Uint8Array;
}

export type StoredReport = Omit<ReportEntry, 'sink'>;

interface Stored extends StoredReport {
  readonly key: string;
  readonly definition: Uint8Array | undefined;
}

/** The first byte: the version of the form, and a flag on the last report of a group. */
const VERSION = 1;
const END_OF_GROUP = 0x80;

const definitionCodec = message<SinkDefinition>({
  rule: [1, text],
  params: [2, anyValue],
  shape: [3, shape as FieldCodec<Shape>],
  reveals: [4, texts],
  secretParams: [5, texts],
});

const encodedMessage: FieldCodec<Uint8Array | undefined> = {
  wireType: WireType.LEN,
  absent: () => undefined,
  write(writer, number, bytes) {
    if (bytes !== undefined) writer.message(number, bytes);
  },
  read: (bytes, { from, to }) => bytes.subarray(from, to),
};

const storedCodec = message<Stored>({
  key: [1, text],
  definition: [2, encodedMessage],
  id: [3, text],
  timeMs: [4, double],
  input: [5, valuesBy((stored: Stored & { readonly shape: Shape }) => stored.shape)],
});

const writer = new ProtobufWriter();

function encodeDefinition(definition: SinkDefinition): EncodedDefinition {
  writer.start();
  definitionCodec.write(writer, definition);
  const encoded = writer.finish();
  const key = createHash('sha256').update(encoded).digest('base64url').slice(0, 12);
  return { ...definition, key, encoded };
}

const known = new WeakMap<Rule, EncodedDefinition>();

/** Of a report rule. */
export function definitionOf(rule: Rule): EncodedDefinition {
  let definition = known.get(rule);
  if (definition === undefined) {
    if (rule.action?.kind !== 'report') throw new TypeError(`${rule.name} is not a report rule`);
    const { params, shape: input, reveals, secretParams } = rule.action;
    definition = encodeDefinition({ rule: rule.name, params, shape: input, reveals, secretParams });
    known.set(rule, definition);
  }
  return definition;
}

export function encodeReport(
  { id, timeMs, input }: StoredReport,
  { key, encoded, shape: types }: EncodedDefinition,
  carriesDefinition: boolean,
): Uint8Array {
  writer.start();
  writer.bareVarint(VERSION);
  const stored = { key, definition: carriesDefinition ? encoded : undefined, id, timeMs, input, shape: types };
  storedCodec.write(writer, stored);
  return writer.finish();
}

/** Marks an encoded report as the last of its group. */
export function endGroup(record: Uint8Array): void {
  record[0] = VERSION | END_OF_GROUP;
}

export const isEndOfGroup = (record: Uint8Array): boolean => ((record[0] ?? 0) & END_OF_GROUP) !== 0;

/** `definition` is absent if an earlier report of the group carries it. */
export function decodeReport(record: Uint8Array): StoredReport & {
  readonly key: string;
  readonly definition: EncodedDefinition | undefined;
} {
  const bytes = Buffer.from(record.buffer, record.byteOffset, record.byteLength);
  const version = (bytes[0] ?? 0) & ~END_OF_GROUP;
  if (version !== VERSION) throw new Malformed(`a report of form ${version}; this version of Sluice reads ${VERSION}`);
  const { key, definition, id, timeMs, input } = storedCodec.read(bytes, 1, bytes.length);
  return { key, id, timeMs, input, definition: definition === undefined ? undefined : decoded(key, definition) };
}

function decoded(key: string, encoded: Uint8Array): EncodedDefinition {
  const bytes = Buffer.from(encoded); // a copy, since it outlives the buffer that was read
  return { key, encoded: bytes, ...definitionCodec.read(bytes, 0, bytes.length) };
}
