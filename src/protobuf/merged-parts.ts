import { Buffer } from 'node:buffer';
import { FieldScan, WireType } from './scan.ts';
import { ProtobufWriter } from './writer.ts';

/** The singular messages of a message by field number, with their nested ones; a leaf is copied unchanged. */
export interface SingularParts {
  readonly [field: number]: SingularParts | 'leaf';
}

/**
 * The same message with one occurrence of each singular message. Protobuf merges repeated occurrences, which equals concatenating their
 * bytes, so nothing is decoded. Throws a `Malformed` if the message is malformed.
 */
export function mergedParts(bytes: Uint8Array, from: number, to: number, parts: SingularParts): Buffer {
  const rest: Uint8Array[] = [];
  const pieces = new Map<number, Uint8Array[]>();
  const fields = new FieldScan(bytes, from, to);
  for (let begin = from, field = fields.next(); field !== 0; begin = fields.at, field = fields.next()) {
    if (fields.type !== WireType.LEN || parts[field] === undefined) rest.push(bytes.subarray(begin, fields.at));
    else pieces.set(field, [...(pieces.get(field) ?? []), bytes.subarray(fields.from, fields.to)]);
  }
  const writer = new ProtobufWriter();
  writer.start();
  for (const [field, all] of pieces) {
    const within = parts[field];
    const whole = Buffer.concat(all);
    writer.message(
      field,
      within === undefined || within === 'leaf' ? whole : mergedParts(whole, 0, whole.length, within),
    );
  }
  return Buffer.concat([...rest, writer.finish()]);
}
