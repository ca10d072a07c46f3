/**
 * **In**: the text of a YAML file. **Out**: its documents as trees in which everything knows where it stands.
 * **Fails**: with a finding for each YAML error; a document that has one is left out.
 */
import { isAlias, isMap, isScalar, isSeq, parseAllDocuments, type Document as YamlDocument, type Node as YamlNode, type Scalar } from 'yaml';
import type { Findings } from './findings.ts';
import type { Document, ListNode, MapEntry, MapNode, Node, Place, ScalarNode } from './nodes.ts';
import type { SourceText } from './source-text.ts';
import type { TimeSlice } from '../time-slice.ts';

/** Nodes that aliases may stand for in one file: a few kilobytes of nested aliases can name billions. */
const MAX_ALIASED_NODES = 100_000;

export interface ParsedFile { readonly documents: readonly Document[]; /** Whether a document was left out. */ readonly broken: boolean }

export async function parseDocuments(source: SourceText, findings: Findings, slice: TimeSlice): Promise<ParsedFile> {
  const parsed = parseAllDocuments(source.text, { prettyErrors: false, logLevel: 'silent' });
  const documents: Document[] = [];
  let broken = false;
  for (const yaml of 'empty' in parsed ? [] : parsed) {
    const sound = reportYaml(yaml, source, findings);
    broken ||= !sound;
    const { contents } = yaml;
    if (!sound || contents === null || (isScalar(contents) && contents.value === null && contents.tag === undefined)) continue;
    const root = new TreeBuilder(yaml, source, findings).build(contents as YamlNode, undefined);
    documents.push({ source, root });
    if (slice.isOver) await slice.next();
  }
  return { documents, broken };
}

const QUOTE_HINT = 'an expression that holds any of  : # { } [ ] , " \' & * ! | > % @ `  must stand in quotes';

function reportYaml(yaml: YamlDocument.Parsed, source: SourceText, findings: Findings): boolean {
  const lines = new Set<number>();
  for (const { code, pos, message } of yaml.errors) {
    const { line } = source.positionAt(pos[0]);
    if (lines.has(line)) continue; // one slip makes several errors on its line
    lines.add(line);
    const place = { source, start: pos[0], end: pos[1] };
    if (code === 'DUPLICATE_KEY') findings.error('RULES_DUPLICATE', place, 'this key stands twice in one map; remove one of the two');
    else findings.error('RULES_YAML', place, `this is not YAML: ${message.replace(/\.$/, '')}; ${QUOTE_HINT}`);
  }
  for (const { code, pos, message } of yaml.warnings) {
    const place = { source, start: pos[0], end: pos[1] };
    const written = source.text.slice(pos[0], pos[1]);
    if (code === 'TAG_RESOLVE_FAILED') findings.error('RULES_QUOTE_IT', place, `YAML reads ${written} as a tag and drops it; quote it: the whole value in '...'`);
    else findings.error('RULES_QUOTE_IT', place, `YAML warns: ${message}; if text is meant, quote it`);
  }
  return yaml.errors.length === 0;
}

const STYLES: Readonly<Record<string, ScalarNode['style']>> = {
  PLAIN: 'plain', QUOTE_SINGLE: 'single', QUOTE_DOUBLE: 'double', BLOCK_LITERAL: 'literal', BLOCK_FOLDED: 'folded',
};

class TreeBuilder {
  readonly #yaml: YamlDocument.Parsed;
  readonly #source: SourceText;
  readonly #findings: Findings;
  readonly #open = new Set<unknown>();
  #aliased = 0;

  constructor(yaml: YamlDocument.Parsed, source: SourceText, findings: Findings) {
    this.#yaml = yaml;
    this.#source = source;
    this.#findings = findings;
  }

  /** `key`: of the entry that it is the value of, to point at where the value is empty. */
  build(node: YamlNode | null, key: Place | undefined): Node {
    if (isAlias(node)) return this.#resolve(node, key);
    if (this.#open.size > 0 && ++this.#aliased > MAX_ALIASED_NODES) return this.#empty(key);
    const place = this.#place(node, key);
    if (isMap<YamlNode, YamlNode | null>(node)) return this.#map(node.items, place);
    if (isSeq<YamlNode>(node)) return { kind: 'list', place, items: node.items.map((item) => this.build(item, undefined)) } satisfies ListNode;
    if (isScalar(node)) return this.#scalar(node, place);
    return this.#empty(place);
  }

  #map(items: readonly { key: YamlNode; value: YamlNode | null }[], place: Place): MapNode {
    const entries = new Map<string, MapEntry>();
    for (const { key, value } of items) {
      const keyPlace = this.#place(key, place);
      if (!isScalar(key)) {
        this.#findings.error('RULES_YAML', keyPlace, 'a key must be text; quote it');
        continue;
      }
      const name = typeof key.value === 'string' ? key.value : (key.source ?? String(key.value));
      entries.set(name, { key: name, keyPlace, value: this.build(value, keyPlace) });
    }
    return { kind: 'map', place, entries };
  }

  #scalar(node: Scalar, place: Place): ScalarNode {
    const { value } = node;
    const known = typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean' ? value : null;
    const written = typeof node.source === 'string' ? node.source : this.#source.text.slice(place.start, place.end);
    return { kind: 'scalar', place, value: known, written, style: STYLES[node.type ?? 'PLAIN'] ?? 'plain' };
  }

  #resolve(alias: Extract<YamlNode, { source: string }> & { resolve(doc: YamlDocument.Parsed): unknown }, key: Place | undefined): Node {
    const target = alias.resolve(this.#yaml) as YamlNode | undefined;
    if (target === undefined || this.#open.has(target) || this.#aliased > MAX_ALIASED_NODES) {
      const why = target === undefined ? 'stands for nothing' : this.#open.has(target) ? 'stands for a value that contains it' : `expands to more than ${MAX_ALIASED_NODES} values`;
      this.#findings.error('RULES_YAML', this.#place(alias, key), `the alias ${this.#source.text.slice(...this.#range(alias))} ${why}; if an expression is meant, quote it`);
      return this.#empty(this.#place(alias, key));
    }
    this.#open.add(target);
    try {
      return this.build(target, key);
    } finally {
      this.#open.delete(target);
    }
  }

  #empty(place: Place | undefined): ScalarNode {
    return { kind: 'scalar', place: place ?? { source: this.#source, start: 0, end: 0 }, value: null, written: '', style: 'plain' };
  }

  #range(node: YamlNode): [start: number, end: number] {
    const range = node.range ?? [0, 0, 0];
    return [range[0], range[1]];
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
