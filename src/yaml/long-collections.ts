/**
 * Lists and maps of thousands of items, composed in parts: the library composes a document at once, a tenth of a second and more for them.
 * **In**: the syntax tree of a document. **Out**: its nodes, whole. **Fails**: never; errors of the parts are errors of the document.
 */
import { Composer, type CST, type Document, isCollection, isPair } from 'yaml';
import type { TimeSlice } from '../time/time-slice.ts';

export type Collection = CST.BlockMap | CST.BlockSequence | CST.FlowCollection;
type Item = Collection['items'][number];

/** Each pair of keys of a map would be compared; the builder of the tree finds keys that occur twice. */
export const OPTIONS = { prettyErrors: false, logLevel: 'silent', uniqueKeys: false } as const;
/** Few enough to compose within a slice, many enough to amortize a composer. */
const ITEMS_OF_PART = 32;
/** A collection with fewer is composed with what stands around it. */
const LONG = 256;
/** Reading the clock for each node would cost too much. */
const NODES_BETWEEN_LOOKS = 256;

interface Cut {
  readonly collection: Collection;
  readonly all: Collection['items'];
  readonly parts: readonly Collection[];
}

/** By the offset of the collection. */
export type Cuts = ReadonlyMap<number, Cut>;

/** Cuts the long collections of a document to their last items, in place. */
export function cutLong({ value }: CST.Document): Cuts {
  const cuts = new Map<number, Cut>();
  if (value !== undefined) cutBelow(value, cuts);
  return cuts;
}

/** Puts back what was cut from the document, which was composed without it. */
export async function filled(
  document: Document.Parsed,
  token: CST.Document,
  cuts: Cuts,
  slice: TimeSlice,
): Promise<Document.Parsed> {
  if (cuts.size === 0) return document;
  const left = new Map(cuts);
  await fill(document, left, slice);
  if (left.size === 0) return document;
  // An error has displaced a collection.
  for (const { collection, all } of cuts.values()) collection.items = all as Collection['items'] & Item[];
  const [whole] = new Composer(OPTIONS).compose([token]);
  return (whole as Document.Parsed | undefined) ?? document;
}

function cutBelow(top: CST.Token, cuts: Map<number, Cut>): void {
  const open: (CST.Token | null | undefined)[] = [top];
  for (let token = open.pop(); open.length > 0 || token != null; token = open.pop()) {
    if (token == null || !isOfMany(token)) continue;
    for (const { key, value } of token.items as Item[]) open.push(key, value);
    const parts = token.items.length < LONG ? [] : partsOf(token);
    const last = parts.pop();
    if (last === undefined || parts.length === 0 || cuts.has(token.offset)) continue;
    cuts.set(token.offset, {
      collection: token,
      all: token.items,
      parts: parts.map((items) => partOf(token as Collection, items)),
    });
    token.items = last as Collection['items'] & Item[];
  }
}

const isOfMany = (token: CST.Token): token is Collection =>
  token.type === 'block-map' || token.type === 'block-seq' || token.type === 'flow-collection';

/** At least one. */
export function partsOf({ type, items }: Collection): Item[][] {
  const parts: Item[][] = [];
  let part: Item[] = [];
  for (const item of items as readonly Item[]) {
    // Only between two complete items, so that errors between items are reported in their context.
    if (part.length >= ITEMS_OF_PART && isComplete(item, type) && isComplete(part.at(-1), type)) {
      if (type !== 'flow-collection') parts.push(part);
      else if (commas(item) === 1) parts.push(part);
      else {
        part.push(item);
        continue;
      }
      part = [type === 'flow-collection' ? { ...item, start: item.start.filter((one) => one.type !== 'comma') } : item];
    } else part.push(item);
  }
  return [...parts, part];
}

const isComplete = (item: Item | undefined, type: Collection['type']): boolean =>
  item?.value != null && (type !== 'block-map' || (item.key != null && item.sep !== undefined));

const commas = ({ start }: Item): number => start.filter(({ type }) => type === 'comma').length;

/** A collection of these items. */
export function partOf(whole: Collection, items: readonly Item[]): Collection {
  if (whole.type !== 'flow-collection') return { ...whole, items: [...items] } as Collection;
  const { offset, indent, start } = whole;
  const isMap = start.source === '{';
  const end = { type: isMap ? 'flow-map-end' : 'flow-seq-end', offset, indent, source: isMap ? '}' : ']' } as const;
  return { ...whole, items: [...items], end: [end] } as CST.FlowCollection;
}

export const documentOf = (value: Collection): CST.Document => ({
  type: 'document',
  offset: value.offset,
  start: [],
  value,
});

/** Puts the items of `left` before those of the collections in the document, which may hold such ones themselves. */
async function fill(document: Document.Parsed, left: Map<number, Cut>, slice: TimeSlice): Promise<void> {
  const open: unknown[] = [document.contents];
  for (let looks = 0; open.length > 0; looks++) {
    if (looks % NODES_BETWEEN_LOOKS === 0 && slice.isOver) await slice.next();
    const node = open.pop();
    if (isPair(node)) open.push(node.key, node.value);
    if (!isCollection(node)) continue;
    const cut = left.get(node.range?.[0] ?? -1);
    if (cut !== undefined) {
      left.delete(cut.collection.offset);
      const earlier: unknown[] = [];
      for (const part of cut.parts) {
        const [composed] = new Composer(OPTIONS).compose([documentOf(part)]);
        if (composed === undefined) continue;
        document.errors.push(...(composed.errors as Document.Parsed['errors']));
        document.warnings.push(...composed.warnings);
        if (isCollection(composed.contents)) for (const item of composed.contents.items) earlier.push(item);
        if (slice.isOver) await slice.next();
      }
      node.items = [...earlier, ...node.items];
      document.errors.sort((a, b) => a.pos[0] - b.pos[0]);
    }
    for (const item of node.items) open.push(item);
  }
}
