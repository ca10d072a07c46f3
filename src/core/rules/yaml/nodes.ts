import type { SourceText } from './source-text.ts';

/** A stretch of a file, in UTF-16 units. */
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
  /** The text as it stands in the file, without quotes where it is plain. */
  readonly written: string;
  /** `plain` text may be a number, a word, or (by mistake) a tag; the others are always text. */
  readonly style: 'plain' | 'single' | 'double' | 'literal' | 'folded';
}
/** A YAML document whose every value knows where it stands. */
export type Node = MapNode | ListNode | ScalarNode;

export interface Document {
  readonly source: SourceText;
  readonly root: Node;
  /** The items of its list `rules` that follow those in `root`. */
  readonly laterRules: readonly LaterItems[];
}

/** Some items of a list. They are parsed each time they are asked for, so that their nodes need not be held. */
export interface LaterItems {
  /** Whether one of them may be a map that has the key. */
  mayHave(key: string): boolean;
  /** Throws {@link IndivisibleError}. */
  items(): readonly Node[];
}

/** A text that seemed to be divisible has to be parsed as a whole. */
export class IndivisibleError extends Error {}

/** As JavaScript has it: what params, configs and cases are made of. */
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

/** The node at a path, or the nearest one above it that is there. `whole` says whether the path was followed to its end. */
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

/** What a node is, for messages. */
export function nodeText(node: Node): string {
  if (node.kind === 'map') return 'a map';
  if (node.kind === 'list') return 'a list';
  if (node.value === null) return 'nothing';
  return typeof node.value === 'string'
    ? `the text ${JSON.stringify(shortened(node.value))}`
    : `${typeof node.value === 'number' ? 'the number' : ''} ${String(node.value)}`.trim();
}

function shortened(text: string): string {
  return text.length > 40 ? `${text.slice(0, 37)}...` : text;
}
