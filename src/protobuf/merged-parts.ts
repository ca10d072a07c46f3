import { Buffer } from 'node:buffer';
import { FieldScan, WireType } from './scan.ts';
import { ProtobufWriter } from './writer.ts';

/** The singular messages of a message by their field numbers, with those within; a leaf is taken as it is. */
export interface SingularParts {
  readonly [field: number]: SingularParts | 'leaf';
}

/**
 * The same message with each of its singular messages in one piece, however often it stands there. Protobuf merges them, and
 * their octets one after the other say the same, so nothing is decoded. Throws a `Malformed` where the frame is broken.
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
