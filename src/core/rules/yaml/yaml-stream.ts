/**
 * YAML in slices: the library composes a whole document in one go, which for ten thousand rules takes a second.
 * **In**: the text of a file. **Out**: its documents; of a long list at the top of one only the last items are in it, and the
 * earlier ones are composed when {@link YamlDocument.earlier} is asked. **Fails**: never; each document holds its errors.
 */
import { Composer, type CST, type Document, Lexer, Parser, type YAMLSeq } from 'yaml';
import type { TimeSlice } from '../../../time/time-slice.ts';

export interface YamlDocument {
  readonly yaml: Document.Parsed;
  /** The items of a list that stand before those in it: documents that are each a list of some, in order. */
  readonly earlier: (list: YAMLSeq) => Iterable<Document.Parsed>;
}

type List = CST.BlockSequence | CST.FlowCollection;
type Item = List['items'][number];

const OPTIONS = { prettyErrors: false, logLevel: 'silent' } as const;
/** Few enough to be composed within a slice, many enough that a composer for them costs nothing beside. */
const ITEMS_OF_PART = 32;
/** Lexemes are so small that a look at the clock after each would show. */
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
    hasDirectives ||= token.type === 'directive'; // which parts would be composed without
    if (token.type === 'document') divided.push(hasDirectives ? new Map() : divide(token));
    for (const yaml of composer.next(token)) yield documentOf(yaml as Document.Parsed);
    if (slice.isOver) await slice.next();
  }
  for (const yaml of composer.end()) yield documentOf(yaml as Document.Parsed);
}

/** A text that holds one document, in one go; `undefined` where it holds more or fewer. */
export function yamlDocument(text: string): Document.Parsed | undefined {
  const [document, ...more] = new Composer(OPTIONS).compose(new Parser().parse(text)) as Iterable<Document.Parsed>;
  return more.length === 0 ? document : undefined;
}

async function* tokensOf(text: string, slice: TimeSlice): AsyncGenerator<CST.Token> {
  const parser = new Parser();
  let lexemes = 0;
  for (const lexeme of new Lexer().lex(text)) {
    for (const token of parser.next(lexeme)) yield token; // yield* of an async generator would wait for each lexeme
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

/** Takes the earlier items out of the long lists at the top of a document: lists of them, by the offset of the list. */
function divide({ value: top }: CST.Document): ReadonlyMap<number, readonly List[]> {
  const divided = new Map<number, readonly List[]>();
  if (top?.type !== 'block-map' && top?.type !== 'flow-collection') return divided;
  for (const { sep, value } of top.items) {
    if (!isList(value) || sep?.some(({ type }) => type === 'anchor') === true) continue; // an alias means all of it
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
    // Only between two whole items: what is wrong between others is told where they stand beside each other.
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
