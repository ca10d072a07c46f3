import type { LimitVerdict, NetChanges, Verdict } from '../core/call.ts';
import { ProtobufWriter } from '../protobuf/writer.ts';

/** Field numbers of google.protobuf.Value. */
const STRING_VALUE = 3;
const STRUCT_VALUE = 5;
const LIST_VALUE = 6;

/**
 * Writes the dynamic metadata of a verdict (docs/rules.md, section 5), a google.protobuf.Struct: the rules' own, and
 * `sluice: { outcome, shadow, rule, id }`, which access logs return. The id comes last, since the bytes before it are equal for many
 * calls.
 */
export function writeVerdictMetadata(
  writer: ProtobufWriter,
  field: number,
  verdict: Verdict | LimitVerdict,
  named: NetChanges['metadata'] = [],
): void {
  const { id, outcome, rule, shadow } = verdict;
  if (outcome !== 'allow' || rule !== undefined || shadow.length > 0 || named.length > 0 || id.length >= LONG_ID) {
    writeStruct(writer, field, verdict, named);
    return;
  }
  const at = field * LONG_ID + id.length;
  let beforeId = ALLOWED[at];
  if (beforeId === undefined) {
    const own = new ProtobufWriter();
    writeStruct(own, field, verdict, named);
    const whole = own.finish();
    beforeId = ALLOWED[at] = new Uint8Array(whole.subarray(0, whole.length - id.length));
  }
  writer.encoded(beforeId);
  writer.ascii(id);
}

/** Verdict ids are shorter. */
const LONG_ID = 64;
/** A cache for allowed calls without a rule: all but the id, by field and length of the id. */
const ALLOWED: (Uint8Array | undefined)[] = [];

function writeStruct(
  writer: ProtobufWriter,
  field: number,
  { id, outcome, rule, shadow }: Verdict | LimitVerdict,
  named: NetChanges['metadata'],
): void {
  const struct = writer.begin(field);
  for (const [name, value] of named) writeText(writer, name, value);
  const entry = writer.begin(1);
  writer.text(1, 'sluice');
  const value = writer.begin(2);
  const facts = writer.begin(STRUCT_VALUE);
  writeText(writer, 'outcome', outcome);
  writeShadow(writer, shadow);
  if (rule !== undefined) writeText(writer, 'rule', rule);
  writeText(writer, 'id', id);
  writer.end(facts);
  writer.end(value);
  writer.end(entry);
  writer.end(struct);
}

/** An entry of a Struct. */
function writeText(writer: ProtobufWriter, name: string, text: string): void {
  const entry = writer.begin(1);
  writer.text(1, name);
  const value = writer.begin(2);
  writer.item(STRING_VALUE, text);
  writer.end(value);
  writer.end(entry);
}

function writeShadow(writer: ProtobufWriter, shadow: readonly string[]): void {
  const entry = writer.begin(1);
  writer.text(1, 'shadow');
  const value = writer.begin(2);
  const list = writer.begin(LIST_VALUE);
  for (const name of shadow) {
    const item = writer.begin(1);
    writer.item(STRING_VALUE, name);
    writer.end(item);
  }
  writer.end(list);
  writer.end(value);
  writer.end(entry);
}
