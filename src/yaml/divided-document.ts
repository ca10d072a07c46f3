/**
 * Documents with long lists of rules, without retaining the nodes of all rules at once.
 * **In**: the text of a file. **Out**: its documents; most rules are parsed on request.
 * **Fails**: with `undefined`, or with an `IndivisibleError` on request, if the file must be parsed as a whole: it is short, a line
 * is unusual, its rules have anchors, or YAML reports an error or a warning.
 */
import { isSeq } from 'yaml';
import type { TimeSlice } from '../time/time-slice.ts';
import { TreeBuilder, rootOf } from './document.ts';
import { Findings } from './findings.ts';
import { type Document, IndivisibleError, type LaterItems, type Node } from './nodes.ts';
import { plainItems } from './plain-items.ts';
import type { SourceText } from './source-text.ts';
import { type TextPart, dividedText, offsetInText } from './text-parts.ts';
import { yamlDocument, yamlDocuments } from './yaml-stream.ts';

export async function parseDivided(
  source: SourceText,
  findings: Findings,
  slice: TimeSlice,
  partLength?: number,
): Promise<readonly Document[] | undefined> {
  const divided = await dividedText(source.text, slice, partLength);
  if (divided === undefined) return undefined;
  const { trunk, lists } = divided;
  const documents: Document[] = [];
  const ofTrunk = new Findings(); // reported again when the text is parsed as a whole
  let isSound = true;
  let found = 0;
  for await (const document of yamlDocuments(trunk, slice)) {
    isSound &&= isClean(document.yaml);
    const builder = new TreeBuilder(source, ofTrunk, (offset) => offsetInText(offset, lists));
    const root = await rootOf(
      document,
      builder,
      (part) => {
        isSound &&= isClean(part);
      },
      slice,
    );
    if (!isSound || builder.hasDuplicates) return undefined;
    if (root === undefined) continue;
    const rules = root.kind === 'map' ? root.entries.get('rules')?.value : undefined;
    const list = rules?.kind === 'list' ? lists.find(({ start }) => start === rules.place.start) : undefined;
    if (list !== undefined) found++;
    documents.push({
      source,
      root,
      laterRules: list?.parts.map((part) => new PartItems(source, part, findings)) ?? [],
    });
  }
  if (found !== lists.length) return undefined;
  findings.take(ofTrunk.sorted([]));
  return documents;
}

interface Diagnostics {
  readonly errors: readonly unknown[];
  readonly warnings: readonly unknown[];
}
const isClean = ({ errors, warnings }: Diagnostics): boolean => errors.length === 0 && warnings.length === 0;

/** A key in double quotes, which may be escaped. */
const ESCAPED = /\\(?:[xuU]|\r?\n)/;

class PartItems implements LaterItems {
  readonly #source: SourceText;
  readonly #part: TextPart;
  readonly #findings: Findings;

  constructor(source: SourceText, part: TextPart, findings: Findings) {
    this.#source = source;
    this.#part = part;
    this.#findings = findings;
  }

  mayHave(key: string): boolean {
    const text = this.#text;
    return text.includes(key) || ESCAPED.test(text);
  }

  items(): readonly Node[] {
    const { start, end, items: count } = this.#part;
    const plain = plainItems(this.#source, start, end);
    if (plain?.length === count) return plain;
    const document = yamlDocument(this.#text);
    if (document === undefined || !isClean(document) || !isSeq(document.contents)) throw new IndivisibleError();
    const builder = new TreeBuilder(this.#source, this.#findings, (offset) => start + offset);
    const items = builder.items(document);
    // Anchors of other parts are not known here.
    if (builder.hasAnchors || builder.hasDuplicates || document.contents.anchor !== undefined || items.length !== count)
      throw new IndivisibleError();
    return items;
  }

  get #text(): string {
    return this.#source.text.slice(this.#part.start, this.#part.end);
  }
}
