import { visible } from '../text/lookalikes.ts';
import { positionText, type SourceText } from './source-text.ts';

/** A range of a file, in UTF-16 units. */
export interface Place {
  readonly source: SourceText;
  readonly start: number;
  readonly end: number;
}

export interface MapEntry {
  readonly key: string;
  readonly keyPlace: Place;
  readonly value: Node;
}
export interface MapNode {
  readonly kind: 'map';
  readonly place: Place;
  readonly entries: ReadonlyMap<string, MapEntry>;
}
export interface ListNode {
  readonly kind: 'list';
  readonly place: Place;
  readonly items: readonly Node[];
}
export interface ScalarNode {
  readonly kind: 'scalar';
  readonly place: Place;
  readonly value: string | number | boolean | null;
  /** The text as in the file; without quotes if it is plain. */
  readonly written: string;
  /** `plain` text may be a number, a word, or (by mistake) a tag; the others are always text. */
  readonly style: 'plain' | 'single' | 'double' | 'literal' | 'folded';
}
/** A node of a YAML document, with its place in the file. */
export type Node = MapNode | ListNode | ScalarNode;

export interface Document {
  readonly source: SourceText;
  readonly root: Node;
  /** The remaining items of its list `rules`, after those in `root`. */
  readonly laterRules: readonly LaterItems[];
}

/** Items of a list, parsed again on each request so that their nodes need not be retained. */
export interface LaterItems {
  /** Whether an item may be a map with this key. */
  mayHave(key: string): boolean;
  /** Throws {@link IndivisibleError}. */
  items(): readonly Node[];
}

/** The text must be parsed as a whole after all. */
export class IndivisibleError extends Error {}

/** The node as a JavaScript value, for params, configs and cases. */
export function plain(node: Node): unknown {
  switch (node.kind) {
    case 'scalar':
      return node.value;
    case 'list':
      return node.items.map(plain);
    case 'map':
      return Object.fromEntries([...node.entries.values()].map(({ key, value }) => [key, plain(value)]));
  }
}

/** The node at a path, or its nearest existing ancestor. `whole`: the path was followed to its end. */
export function nodeAt(
  node: Node,
  path: readonly PropertyKey[],
): { readonly node: Node; readonly entry: MapEntry | undefined; readonly whole: boolean } {
  let current = node;
  let entry: MapEntry | undefined;
  for (const step of path) {
    if (current.kind === 'map') {
      entry = current.entries.get(String(step));
      if (entry === undefined) return { node: current, entry, whole: false };
      current = entry.value;
    } else {
      const item = current.kind === 'list' ? current.items[Number(step)] : undefined;
      if (item === undefined) return { node: current, entry, whole: false };
      current = item;
    }
  }
  return { node: current, entry, whole: true };
}

/** Nothing stands after the colon of its key. */
export const isEmpty = (node: Node): boolean => node.kind === 'scalar' && node.value === null && node.written === '';

/** A description of a node, for messages. */
export function nodeText(node: Node): string {
  if (node.kind === 'map') return 'a map';
  if (node.kind === 'list') return 'a list';
  if (node.value === null) return 'nothing';
  return typeof node.value === 'string'
    ? `the text ${visible(JSON.stringify(shortened(node.value)))}`
    : `${typeof node.value === 'number' ? 'the number' : ''} ${String(node.value)}`.trim();
}

function shortened(text: string): string {
  return text.length > 40 ? `${text.slice(0, 37)}...` : text;
}

/** Of something that is declared again: where it was declared first. */
export const declaredAt = ({ source, start }: Place): string =>
  `declared at ${positionText(source.positionAt(start))}, too`;
