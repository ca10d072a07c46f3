/** A batch: `repeated` messages of several kinds, each in a oneof. */
import type { Buffer } from 'node:buffer';
import { FieldScan, WireType } from '../../../protobuf/scan.ts';
import type { ProtobufWriter } from '../../../protobuf/writer.ts';
import type { MessageCodec } from './fields.ts';
import { CannotCross } from './cannot-cross.ts';
import { OutOfRange } from './values.ts';

/** As the contract says: gRPC's default. */
export const MAX_MESSAGE_BYTES = 4 * 1024 * 1024;
/** A batch is cut when it has grown to this, so that the other side begins to work. */
const CUT_BYTES = 64 * 1024;
const MESSAGES = 1;

interface Kinded {
  readonly kind: string;
}
type OfKind<M extends Kinded, K> = M extends Kinded ? (K extends M['kind'] ? M : never) : never;
/** The kinds of a oneof, each with its field number. */
export type Variants<M extends Kinded> = {
  readonly [K in M['kind']]: readonly [number: number, codec: MessageCodec<Omit<OfKind<M, K>, 'kind'>>];
};
type AnyVariants = Readonly<Record<string, readonly [number: number, codec: MessageCodec<object>]>>;

/**
 * Whole batches in order, each as `keep` returns it, which copies it: the writer reuses its memory. Throws a {@link CannotCross} if one of
 * them has no form on the wire.
 */
export function writeBatches<M extends Kinded>(
  writer: ProtobufWriter,
  variants: Variants<M>,
  messages: readonly M[],
  keep: (batch: Uint8Array) => Uint8Array,
): Uint8Array[] {
  const kinds = variants as AnyVariants;
  const batches: Uint8Array[] = [];
  writer.start();
  for (const message of messages) {
    const variant = kinds[message.kind];
    if (variant === undefined) continue; // of this process alone
    const before = writer.length;
    const begun = writer.begin(MESSAGES);
    const kind = writer.begin(variant[0]);
    variant[1].write(writer, message);
    writer.end(kind);
    writer.end(begun);
    const { length } = writer;
    if (length - before > MAX_MESSAGE_BYTES)
      throw new CannotCross('', `${length - before} bytes long, above the ${MAX_MESSAGE_BYTES} of a message`);
    if (length > MAX_MESSAGE_BYTES) {
      // The last one goes into a batch of its own.
      const all = writer.lend();
      batches.push(keep(all.subarray(0, before)), keep(all.subarray(before)));
      writer.start();
    } else if (length > CUT_BYTES) {
      batches.push(keep(writer.lend()));
      writer.start();
    }
  }
  if (writer.length > 0) batches.push(keep(writer.lend()));
  return batches;
}

/** Kinds that this version does not know are left out. `outOfRange`: in place of a message with a value that cannot be held. */
export function readBatch<M extends Kinded>(
  variants: Variants<M>,
  bytes: Buffer,
  outOfRange?: (kind: M['kind'], bytes: Buffer, from: number, to: number, error: OutOfRange) => M | undefined,
): M[] {
  const byNumber = numbersOf(variants as AnyVariants);
  const messages: M[] = [];
  const outer = new FieldScan(bytes, 0, bytes.length);
  for (let field = outer.next(); field !== 0; field = outer.next()) {
    if (field !== MESSAGES || outer.type !== WireType.LEN) continue;
    let message: M | undefined;
    const inner = new FieldScan(bytes, outer.from, outer.to);
    for (let number = inner.next(); number !== 0; number = inner.next()) {
      const variant = byNumber[number];
      if (variant === undefined || inner.type !== WireType.LEN) continue;
      try {
        message = variant.codec.read(bytes, inner.from, inner.to) as M;
        (message as { kind: string }).kind = variant.kind;
      } catch (error) {
        if (!(error instanceof OutOfRange) || outOfRange === undefined) throw error;
        message = outOfRange(variant.kind, bytes, inner.from, inner.to, error);
      }
    }
    if (message !== undefined) messages.push(message);
  }
  return messages;
}

type ByNumber = readonly ({ readonly kind: string; readonly codec: MessageCodec<object> } | undefined)[];
const tables = new WeakMap<AnyVariants, ByNumber>();

function numbersOf(variants: AnyVariants): ByNumber {
  const known = tables.get(variants);
  if (known !== undefined) return known;
  const table: { readonly kind: string; readonly codec: MessageCodec<object> }[] = [];
  for (const [kind, [number, codec]] of Object.entries(variants)) table[number] = { kind, codec };
  tables.set(variants, table);
  return table;
}
