/**
 * YAML in time slices: the library composes a document at once, which takes a second for ten thousand rules.
 * **In**: the text of a file. **Out**: its documents. A long top-level list contains only its last items; {@link YamlDocument.earlier}
 * composes the others on request. **Fails**: never; each document has its errors.
 */
import { Composer, type CST, type Document, Lexer, Parser, type YAMLSeq } from 'yaml';
import { withFewerEmptyLines } from './empty-lines.ts';
import type { TimeSlice } from '../time/time-slice.ts';

export interface YamlDocument {
  readonly yaml: Document.Parsed;
  /** The earlier items of a list, in order, as documents that each are a list. */
  readonly earlier: (list: YAMLSeq) => Iterable<Document.Parsed>;
}

type List = CST.BlockSequence | CST.FlowCollection;
type Item = List['items'][number];

/** Each pair of keys of a map would be compared; the builder of the tree finds keys that occur twice. */
const OPTIONS = { prettyErrors: false, logLevel: 'silent', uniqueKeys: false } as const;
/** Few enough to compose within a slice, many enough to amortize a composer. */
const ITEMS_OF_PART = 32;
/** Reading the clock after each lexeme would cost too much. */
const LEXEMES_BETWEEN_LOOKS = 64;

export async function* yamlDocuments(text: string, slice: TimeSlice): AsyncGenerator<YamlDocument> {
  const composer = new Composer(OPTIONS);
  const divided: ReadonlyMap<number, readonly List[]>[] = []; // of each document, in order
  const documentOf = (yaml: Document.Parsed): YamlDocument => {
    const lists = divided.shift();
    return { yaml, earlier: (list) => composed(lists?.get(list.range?.[0] ?? -1) ?? []) };
  };
  let hasDirectives = false;
  for await (const token of tokensOf(text, slice)) {
    hasDirectives ||= token.type === 'directive'; // parts would be composed without them
    if (token.type === 'document') divided.push(hasDirectives ? new Map() : divide(token));
    for (const yaml of composer.next(token)) yield documentOf(yaml as Document.Parsed);
    if (slice.isOver) await slice.next();
  }
  for (const yaml of composer.end()) yield documentOf(yaml as Document.Parsed);
}

/** The single document of a text, composed at once; `undefined` if there are more or none. */
export function yamlDocument(text: string): Document.Parsed | undefined {
  const [document, ...more] = new Composer(OPTIONS).compose(new Parser().parse(text)) as Iterable<Document.Parsed>;
  return more.length === 0 ? document : undefined;
}

async function* tokensOf(text: string, slice: TimeSlice): AsyncGenerator<CST.Token> {
  const parser = new Parser();
  let lexemes = 0;
  for (const lexeme of withFewerEmptyLines(new Lexer().lex(text))) {
    for (const token of parser.next(lexeme)) yield token; // yield* of an async generator would await each lexeme
    if (++lexemes % LEXEMES_BETWEEN_LOOKS === 0 && slice.isOver) await slice.next();
  }
  for (const token of parser.end()) yield token;
}

function* composed(lists: readonly List[]): Generator<Document.Parsed> {
  for (const value of lists) {
    const token: CST.Document = { type: 'document', offset: value.offset, start: [], value };
    yield* new Composer(OPTIONS).compose([token]) as Generator<Document.Parsed>;
  }
}

/** Removes the earlier items from long top-level lists; returns them by offset of the list. */
function divide({ value: top }: CST.Document): ReadonlyMap<number, readonly List[]> {
  const divided = new Map<number, readonly List[]>();
  if (top?.type !== 'block-map' && top?.type !== 'flow-collection') return divided;
  for (const { sep, value } of top.items) {
    if (!isList(value) || sep?.some(({ type }) => type === 'anchor') === true) continue; // an alias refers to all of it
    const parts = partsOf(value);
    const last = parts.pop();
    if (last === undefined || parts.length === 0) continue;
    divided.set(
      value.offset,
      parts.map((items) => listOf(value, items)),
    );
    value.items = last as CST.BlockSequence['items'];
  }
  return divided;
}

const isList = (token: CST.Token | undefined | null): token is List =>
  token?.type === 'block-seq' || (token?.type === 'flow-collection' && token.start.source === '[');

function partsOf({ type, items }: List): Item[][] {
  const parts: Item[][] = [];
  let part: Item[] = [];
  for (const item of items) {
    // Only between two complete items, so that errors between items are reported in their context.
    if (
      part.length >= ITEMS_OF_PART &&
      item.value !== undefined &&
      part.at(-1)?.value !== undefined &&
      (type === 'block-seq' || commas(item) === 1)
    ) {
      parts.push(part);
      part = [type === 'block-seq' ? item : { ...item, start: item.start.filter((token) => token.type !== 'comma') }];
    } else part.push(item);
  }
  return [...parts, part];
}

const commas = ({ start }: Item): number => start.filter(({ type }) => type === 'comma').length;

function listOf(list: List, items: readonly Item[]): List {
  if (list.type === 'block-seq') return { ...list, items: items as CST.BlockSequence['items'] };
  const { offset, indent } = list;
  return { ...list, items: [...items], end: [{ type: 'flow-seq-end', offset, indent, source: ']' }] };
}
