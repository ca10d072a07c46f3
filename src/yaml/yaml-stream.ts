/**
 * YAML in time slices: the library composes a document at once, which takes a second for ten thousand rules.
 * **In**: the text of a file. **Out**: its documents. A long top-level list contains only its last items; {@link YamlDocument.earlier}
 * composes the others on request. **Fails**: never; each document has its errors.
 */
import { Composer, type CST, type Document, Lexer, Parser, type YAMLSeq } from 'yaml';
import { withFewerEmptyLines } from './empty-lines.ts';
import { type Cuts, cutLong, documentOf, filled, OPTIONS, partOf, partsOf } from './long-collections.ts';
import type { TimeSlice } from '../time/time-slice.ts';

export interface YamlDocument {
  readonly yaml: Document.Parsed;
  /** The earlier items of a list, in order, as documents that each are a list. */
  readonly earlier: (list: YAMLSeq) => AsyncIterable<Document.Parsed>;
}

type List = CST.BlockSequence | CST.FlowCollection;

/** Reading the clock after each lexeme would cost too much. */
const LEXEMES_BETWEEN_LOOKS = 64;

export async function* yamlDocuments(text: string, slice: TimeSlice): AsyncGenerator<YamlDocument> {
  const composer = new Composer(OPTIONS);
  const divided: Divided[] = []; // of each document, in order
  const wholeOf = async (yaml: Document.Parsed): Promise<YamlDocument> => {
    const { token, lists, cuts } = divided.shift() ?? {};
    return {
      yaml: token === undefined || cuts === undefined ? yaml : await filled(yaml, token, cuts, slice),
      earlier: (list) => composed(lists?.get(list.range?.[0] ?? -1) ?? [], slice),
    };
  };
  let hasDirectives = false;
  for await (const token of tokensOf(text, slice)) {
    hasDirectives ||= token.type === 'directive'; // parts would be composed without them
    if (token.type === 'document')
      divided.push(hasDirectives ? {} : { token, lists: divide(token), cuts: cutLong(token) });
    for (const yaml of composer.next(token)) yield await wholeOf(yaml as Document.Parsed);
    if (slice.isOver) await slice.next();
  }
  for (const yaml of composer.end()) yield await wholeOf(yaml as Document.Parsed);
}

interface Divided {
  readonly token?: CST.Document;
  readonly lists?: ReadonlyMap<number, readonly List[]>;
  readonly cuts?: Cuts;
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

async function* composed(lists: readonly List[], slice: TimeSlice): AsyncGenerator<Document.Parsed> {
  for (const list of lists) {
    const token = documentOf(list);
    const cuts = cutLong(token);
    for (const part of new Composer(OPTIONS).compose([token]))
      yield await filled(part as Document.Parsed, token, cuts, slice);
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
      parts.map((items) => partOf(value, items) as List),
    );
    value.items = last as CST.BlockSequence['items'];
  }
  return divided;
}

const isList = (token: CST.Token | undefined | null): token is List =>
  token?.type === 'block-seq' || (token?.type === 'flow-collection' && token.start.source === '[');
