/**
 * **In**: the text of a YAML file. **Out**: its documents as trees of nodes with their places.
 * **Fails**: with a finding per YAML error; a document with one is omitted.
 */
import {
  isAlias,
  isCollection,
  isMap,
  isScalar,
  isSeq,
  type Alias,
  type Document as YamlDocument,
  type Node as YamlNode,
  type Scalar,
  type YAMLSeq,
} from 'yaml';
import type { TimeSlice } from '../time/time-slice.ts';
import { Findings } from './findings.ts';
import type { Document, ListNode, MapEntry, MapNode, Node, Place, ScalarNode } from './nodes.ts';
import type { SourceText } from './source-text.ts';
import { reportYaml } from './report-yaml.ts';
import { type YamlDocument as StreamedDocument, yamlDocuments } from './yaml-stream.ts';

/** Bound on nodes from aliases in one file; a few kilobytes of nested aliases can expand to billions. */
const MAX_ALIASED_NODES = 100_000;

/** Reading the clock for each item would cost too much. */
const ITEMS_BETWEEN_LOOKS = 64;

export interface ParsedFile {
  readonly documents: readonly Document[];
  /** A document was omitted. */
  readonly broken: boolean;
}

/** Of a template of Helm one error is shown, beside what it is: there may be one on each line. */
export async function parseDocuments(source: SourceText, findings: Findings, slice: TimeSlice): Promise<ParsedFile> {
  const [line = '', directive = ''] = (source.text.includes('{{') ? DIRECTIVE.exec(source.text) : null) ?? [];
  if (directive === '') return documentsIn(source, findings, slice);
  const found = new Findings();
  const parsed = await documentsIn(source, found, slice);
  findings.take(found.hasErrors ? found.sorted([]).slice(0, 1) : found.sorted([]));
  if (!found.hasErrors) return parsed;
  const start = source.text.indexOf(line) + line.length - directive.length;
  const message =
    'a line begins as in a template of Helm, and this is not valid YAML; if it is one, print what it comes to ' +
    '(helm template), and put that into the folder';
  findings.error('RULES_YAML', { source, start, end: start + directive.length }, message);
  return { documents: [], broken: true };
}
/** A directive of Go's templates. */
const DIRECTIVE = /^[ \t]*(\{\{-?\s*(?:if|else|end|range|with|define|include|template|block|toYaml|\/\*|[.$])[^\n]*)/m;

async function documentsIn(source: SourceText, findings: Findings, slice: TimeSlice): Promise<ParsedFile> {
  const documents: Document[] = [];
  let broken = false;
  for await (const document of yamlDocuments(source.text, slice)) {
    const lines = new Set<number>();
    let sound = reportYaml(document.yaml, source, findings, lines);
    const builder = new TreeBuilder(source, sound ? findings : new Findings()); // consequences of a YAML error are not reported
    const root = await rootOf(
      document,
      builder,
      (part) => {
        sound = reportYaml(part, source, findings, lines) && sound;
      },
      slice,
    );
    sound &&= !builder.hasDuplicates;
    if (sound && root !== undefined) documents.push({ source, root, laterRules: [] });
    broken ||= !sound;
  }
  return { documents, broken };
}

/** `undefined`: the document is empty. `onPart` is called with each part of its lists as it is composed. */
export async function rootOf(
  { yaml: { contents }, earlier }: StreamedDocument,
  builder: TreeBuilder,
  onPart: (part: YamlDocument.Parsed) => void,
  slice: TimeSlice,
): Promise<Node | undefined> {
  if (contents === null || (isScalar(contents) && contents.value === null && contents.tag === undefined))
    return undefined;
  const earlierItems = async (list: YAMLSeq): Promise<Node[]> => {
    const items: Node[] = [];
    for await (const part of earlier(list)) {
      onPart(part);
      items.push(...builder.items(part));
      if (slice.isOver) await slice.next();
    }
    return items;
  };
  return builder.root(contents as YamlNode, earlierItems, slice);
}

const STYLES: Readonly<Record<string, ScalarNode['style']>> = {
  PLAIN: 'plain',
  QUOTE_SINGLE: 'single',
  QUOTE_DOUBLE: 'double',
  BLOCK_LITERAL: 'literal',
  BLOCK_FOLDED: 'folded',
};

export class TreeBuilder {
  /** A map has a key twice, which is reported. */
  hasDuplicates = false;
  /** An anchor or alias was found. */
  hasAnchors = false;
  readonly #source: SourceText;
  readonly #findings: Findings;
  readonly #inText: (offset: number) => number;
  readonly #anchors = new Map<string, YamlNode>();
  /** The node of each alias where it was found; anchors may be redefined. */
  readonly #targets = new Map<Alias, YamlNode | undefined>();
  readonly #open = new Set<unknown>();
  #aliased = 0;

  /** `inText`: maps an offset of the library's text to the source, if they differ. */
  constructor(source: SourceText, findings: Findings, inText: (offset: number) => number = (offset) => offset) {
    this.#source = source;
    this.#findings = findings;
    this.#inText = inText;
  }

  /** `earlier`: the earlier items of a top-level list. */
  async root(node: YamlNode, earlier: (list: YAMLSeq) => Promise<Node[]>, slice: TimeSlice): Promise<Node> {
    if (!isMap<YamlNode, YamlNode | null>(node)) return this.#grown(node, undefined, slice);
    const place = this.#place(node, undefined);
    this.#anchored(node);
    const entries = new Map<string, MapEntry>();
    for (const { key, value } of node.items) {
      const before = isSeq(value) ? await earlier(value) : [];
      const named = this.#key(key, place);
      if (named === undefined) continue;
      const built = await this.#grown(value, named.keyPlace, slice);
      const entry: MapEntry = {
        ...named,
        value: built.kind === 'list' ? { ...built, items: [...before, ...built.items] } : built,
      };
      this.#checkNew(entry, entries);
      entries.set(entry.key, entry);
    }
    return { kind: 'map', place, entries };
  }

  /** As {@link build}, in time slices. */
  async #grown(node: YamlNode | null, key: Place | undefined, slice: TimeSlice): Promise<Node> {
    if (!isMap<YamlNode, YamlNode | null>(node) && !isSeq<YamlNode>(node)) return this.build(node, key);
    this.#anchored(node);
    const place = this.#place(node, key);
    let looks = 0;
    if (isSeq<YamlNode>(node)) {
      const items: Node[] = [];
      for (const item of node.items) {
        items.push(isCollection(item) ? await this.#grown(item, undefined, slice) : this.build(item, undefined));
        if (++looks % ITEMS_BETWEEN_LOOKS === 0 && slice.isOver) await slice.next();
      }
      return { kind: 'list', place, items };
    }
    const entries = new Map<string, MapEntry>();
    for (const { key: keyNode, value } of node.items) {
      const named = this.#key(keyNode, place);
      if (named === undefined) continue;
      const { keyPlace } = named;
      const built = isCollection(value) ? await this.#grown(value, keyPlace, slice) : this.build(value, keyPlace);
      const entry: MapEntry = { ...named, value: built };
      this.#checkNew(entry, entries);
      entries.set(entry.key, entry);
      if (++looks % ITEMS_BETWEEN_LOOKS === 0 && slice.isOver) await slice.next();
    }
    return { kind: 'map', place, entries };
  }

  /** Of a document that is a list. */
  items({ contents }: YamlDocument.Parsed): Node[] {
    return isSeq<YamlNode>(contents) ? contents.items.map((item) => this.build(item, undefined)) : [];
  }

  /** `key`: the entry's key, to point at if the value is empty. */
  build(node: YamlNode | null, key: Place | undefined): Node {
    if (isAlias(node)) return this.#resolve(node, key);
    this.#anchored(node);
    if (this.#open.size > 0 && ++this.#aliased > MAX_ALIASED_NODES) return this.#empty(key);
    const place = this.#place(node, key);
    if (isMap<YamlNode, YamlNode | null>(node)) return this.#map(node.items, place);
    if (isSeq<YamlNode>(node))
      return { kind: 'list', place, items: node.items.map((item) => this.build(item, undefined)) } satisfies ListNode;
    if (isScalar(node)) return this.#scalar(node, place);
    return this.#empty(place);
  }

  #map(items: readonly { key: YamlNode; value: YamlNode | null }[], place: Place): MapNode {
    const entries = new Map<string, MapEntry>();
    for (const { key, value } of items) {
      const named = this.#key(key, place);
      if (named === undefined) continue;
      const entry: MapEntry = { ...named, value: this.build(value, named.keyPlace) };
      this.#checkNew(entry, entries);
      entries.set(entry.key, entry);
    }
    return { kind: 'map', place, entries };
  }

  #checkNew({ key, keyPlace }: MapEntry, before: ReadonlyMap<string, MapEntry>): void {
    if (!before.has(key)) return;
    this.hasDuplicates = true;
    const message = `${key} occurs twice in one map; put all into one of the two, or remove one`;
    this.#findings.error('RULES_DUPLICATE', keyPlace, message);
  }

  #key(key: YamlNode, place: Place): Omit<MapEntry, 'value'> | undefined {
    const keyPlace = this.#place(key, place);
    if (!isScalar(key)) {
      const isTemplate = this.#source.text.startsWith('{{', keyPlace.start - 1);
      const why = isTemplate
        ? 'YAML takes {{ for two maps; of a template of Helm use what it comes to (helm template), and quote an expression'
        : 'a key must be text; quote it';
      this.#findings.error('RULES_YAML', keyPlace, why);
      return undefined;
    }
    this.#anchored(key);
    return { key: typeof key.value === 'string' ? key.value : (key.source ?? String(key.value)), keyPlace };
  }

  #anchored(node: YamlNode | null): void {
    if (this.#open.size === 0 && node !== null && !isAlias(node) && node.anchor !== undefined) {
      this.hasAnchors = true;
      this.#anchors.set(node.anchor, node);
    }
  }

  #scalar(node: Scalar, place: Place): ScalarNode {
    const { value } = node;
    const known = typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean' ? value : null;
    const written = typeof node.source === 'string' ? node.source : this.#source.text.slice(place.start, place.end);
    return { kind: 'scalar', place, value: known, written, style: STYLES[node.type ?? 'PLAIN'] ?? 'plain' };
  }

  #resolve(alias: Alias, key: Place | undefined): Node {
    this.hasAnchors = true;
    if (!this.#targets.has(alias)) this.#targets.set(alias, this.#anchors.get(alias.source));
    const target = this.#targets.get(alias);
    if (target === undefined || this.#open.has(target) || this.#aliased > MAX_ALIASED_NODES) {
      const why =
        target === undefined
          ? 'refers to no anchor'
          : this.#open.has(target)
            ? 'refers to a value that contains it'
            : `expands to more than ${MAX_ALIASED_NODES} values`;
      const written = this.#source.text.slice(...this.#range(alias));
      this.#findings.once(
        `alias ${written} ${this.#source.file}`,
        'RULES_YAML',
        this.#place(alias, key),
        `the alias ${written} ${why}; if it is part of an expression, quote it`,
      );
      const empty = this.#empty(this.#place(alias, key));
      this.#findings.explain(empty.place);
      return empty;
    }
    this.#open.add(target);
    try {
      return this.build(target, key);
    } finally {
      this.#open.delete(target);
    }
  }

  #empty(place: Place | undefined): ScalarNode {
    return {
      kind: 'scalar',
      place: place ?? { source: this.#source, start: 0, end: 0 },
      value: null,
      written: '',
      style: 'plain',
    };
  }

  #range(node: YamlNode): [start: number, end: number] {
    const [start, end] = node.range ?? [0, 0, 0];
    const inText = this.#inText(start);
    return [inText, end > start ? this.#inText(end - 1) + 1 : inText];
  }

  #place(node: YamlNode | null, instead: Place | undefined): Place {
    if (node === null) return instead ?? { source: this.#source, start: 0, end: 0 };
    const [start, end] = this.#range(node);
    const trimmed = start + this.#source.text.slice(start, end).trimEnd().length;
    const isBlockScalar = isScalar(node) && (node.type === 'BLOCK_LITERAL' || node.type === 'BLOCK_FOLDED');
    if (start === end && instead !== undefined) return instead;
    return { source: this.#source, start, end: isBlockScalar ? end : trimmed };
  }
}
