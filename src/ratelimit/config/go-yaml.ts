/**
 * Reads YAML as gopkg.in/yaml.v2 does, which envoyproxy/ratelimit uses.
 * **In**: the text of a file. **Out**: the first document, with aliases resolved and merge keys expanded. **Fails**: if yaml.v2 fails,
 * with the first problem and its place.
 *
 * Source: decode.go and resolve.go of gopkg.in/yaml.v2 2.4.0.
 */
import {
  Composer,
  type Document,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  type Node as YamlNode,
  type Pair,
  Parser,
  Scalar,
  type YAMLParseError,
} from 'yaml';
import { resolveScalar } from './go-scalar.ts';

/** Offsets into the text. */
export interface Place {
  readonly start: number;
  readonly end: number;
}

export interface GoScalar extends Place {
  readonly kind: 'scalar';
  /** As written, without quotes; `!!binary` decoded. A text field takes this, whatever the type of the value. */
  readonly text: string;
  /** Integers are bigint; timestamps are text. */
  readonly value: string | bigint | number | boolean | null;
  /** Written as `null`, `~` or nothing. `Null` and `NULL` are null, too, but decode a pointer to an empty struct. */
  readonly isNothing: boolean;
}
export interface GoList extends Place {
  readonly kind: 'list';
  readonly items: readonly GoNode[];
}
/** A key may be repeated; the last entry is in force. */
export interface GoMap extends Place {
  readonly kind: 'map';
  readonly entries: readonly GoEntry[];
}
export type GoNode = GoScalar | GoList | GoMap;

export interface GoEntry {
  readonly key: GoNode;
  readonly value: GoNode;
  /** The `<<` that merged it from another map. */
  readonly mergedAt: Place | undefined;
}

export class GoYamlError extends Error {
  readonly place: Place;
  constructor(message: string, place: Place) {
    super(message);
    this.name = 'GoYamlError';
    this.place = place;
  }
}

export interface GoDocument {
  /** `undefined`: the file is empty. */
  readonly root: GoNode | undefined;
  /** Later documents, which yaml.v2 does not read. */
  readonly further: readonly Place[];
}

export function readGoYaml(text: string): GoDocument {
  const documents = [
    ...new Composer({
      version: '1.1',
      schema: 'failsafe',
      merge: false,
      uniqueKeys: false,
      prettyErrors: false,
      logLevel: 'silent',
    }).compose(goParser().parse(withPlainBreaks(text))),
  ];
  const [first, ...others] = documents;
  const problem = first?.errors.find((error) => !isTolerated(error));
  if (problem !== undefined) throw new GoYamlError(problem.message, { start: problem.pos[0], end: problem.pos[1] });
  const { contents } = first ?? {};
  if (contents === undefined || contents === null) return { root: undefined, further: others.flatMap(placesOf) };
  const root = new Reader().node(contents as YamlNode);
  countExpanded(root);
  return { root, further: others.flatMap(placesOf) };
}

/** The part of the library's internal lexer that is used here; a test fails when it changes. */
interface LexerWithin {
  flowLevel: number;
  indentNext: number;
  parseNext(next: string): Generator<string, string | undefined>;
  parseQuotedScalar(): Generator<string, string | undefined>;
}

/** yaml.v2 ignores indentation within `{`, `[` and quotes, unlike YAML 1.2 and the library. */
function goParser(): Parser {
  const parser = new Parser();
  const { lexer } = parser as unknown as { readonly lexer: LexerWithin };
  const parseNext = lexer.parseNext.bind(lexer);
  const parseQuotedScalar = lexer.parseQuotedScalar.bind(lexer);
  lexer.parseNext = (next) => {
    if (lexer.flowLevel > 0) lexer.indentNext = 0;
    return parseNext(next);
  };
  lexer.parseQuotedScalar = function* quotedScalar() {
    const { indentNext } = lexer;
    lexer.indentNext = 0;
    const next = yield* parseQuotedScalar();
    lexer.indentNext = indentNext;
    return next;
  };
  return parser;
}

/** A lone CR, NEL and Unicode's separators end a line, too. Offsets stay the same. */
const withPlainBreaks = (text: string): string =>
  /[\r\u0085\u2028\u2029]/.test(text) ? text.replaceAll(/\r(?!\n)|[\u0085\u2028\u2029]/g, '\n') : text;

/** Errors that yaml.v2 does not raise: a bracket that begins a line, and a comment right after a bracket or a quote. */
const isTolerated = ({ code, message }: YAMLParseError): boolean =>
  (code === 'BAD_INDENT' && message.startsWith('Flow ')) ||
  (code === 'MISSING_CHAR' && message.startsWith('Comments '));

function placesOf({ contents, range }: Document): readonly Place[] {
  const node = contents as YamlNode | null;
  const [start, end] = node?.range ?? range ?? [0, 0];
  return node === null || (isScalar(node) && node.source === '') ? [] : [{ start, end }];
}

const EXCESSIVE = 'document contains excessive aliasing';
/** More merged entries than any real file has; guards against a merge-key bomb. */
const MAX_MERGED = 1_000_000;

class Reader {
  readonly #anchors = new Map<string, GoNode | 'open'>();
  #merged = 0;

  node(node: YamlNode): GoNode {
    const place = placeOf(node);
    if (isAlias(node)) {
      const known = this.#anchors.get(node.source);
      if (known === undefined) throw new GoYamlError(`unknown anchor '${node.source}' referenced`, place);
      if (known === 'open') throw new GoYamlError(`anchor '${node.source}' value contains itself`, place);
      return known;
    }
    const anchor = (node as { anchor?: string }).anchor;
    if (anchor !== undefined) this.#anchors.set(anchor, 'open');
    const read = this.#fresh(node, place);
    if (anchor !== undefined) this.#anchors.set(anchor, read);
    return read;
  }

  #fresh(node: YamlNode, place: Place): GoNode {
    if (isMap(node))
      return {
        kind: 'map',
        ...place,
        entries: (node.items as Pair<YamlNode | null, YamlNode | null>[]).flatMap((pair) =>
          this.#entries(pair, place, node.flow === true),
        ),
      };
    if (isSeq(node))
      return {
        kind: 'list',
        ...place,
        items: (node.items as (YamlNode | null)[]).map((item) => this.#nodeOrNothing(item, place)),
      };
    return scalarOf(node as Scalar, place);
  }

  #nodeOrNothing(node: YamlNode | null, { start }: Place): GoNode {
    return node === null
      ? { kind: 'scalar', start, end: start, text: '', value: null, isNothing: true }
      : this.node(node);
  }

  #entries(pair: Pair<YamlNode | null, YamlNode | null>, place: Place, isFlow: boolean): readonly GoEntry[] {
    const isMerge =
      isScalar(pair.key) &&
      pair.key.value === '<<' &&
      (isPlain(pair.key) || pair.key.tag === 'tag:yaml.org,2002:merge');
    const written = this.#nodeOrNothing(pair.key, place);
    // In a flow map a question mark needs no blank after it.
    const key =
      written.kind === 'scalar' && isFlow && isScalar(pair.key) && isPlain(pair.key) && written.text.startsWith('?')
        ? { ...written, ...resolveScalar('', written.text.slice(1)), text: written.text.slice(1) }
        : written;
    const value = this.#nodeOrNothing(pair.value, key);
    if (!isMerge) {
      if (key.kind !== 'scalar') throw new GoYamlError('invalid map key: a map or a list', key);
      return [{ key, value, mergedAt: undefined }];
    }
    const maps = value.kind === 'list' ? value.items.toReversed() : [value]; // the first of a list wins, so it comes last
    return maps.flatMap((map) => {
      if (map.kind !== 'map') throw new GoYamlError('map merge requires map or sequence of maps as the value', value);
      if ((this.#merged += map.entries.length) > MAX_MERGED) throw new GoYamlError(EXCESSIVE, value);
      return map.entries.map((entry) => ({ ...entry, mergedAt: key }));
    });
  }
}

function placeOf(node: YamlNode): Place {
  const [start, end] = node.range ?? [0, 0];
  return { start, end };
}

const isPlain = ({ type, tag }: Scalar): boolean =>
  tag === undefined ? type === undefined || type === Scalar.PLAIN : tag === '!';

function scalarOf(node: Scalar, place: Place): GoScalar {
  const written = typeof node.value === 'string' ? node.value : '';
  if (!written.isWellFormed()) throw new GoYamlError('found invalid Unicode character escape code', place);
  const isUntagged = node.tag === undefined;
  const { problem, value } =
    isUntagged && !isPlain(node) ? { value: written, problem: undefined } : resolveScalar(node.tag ?? '', written);
  if (problem !== undefined) throw new GoYamlError(problem, place);
  const isNothing = value === null && (!isUntagged || written === '' || written === '~' || written === 'null');
  return {
    kind: 'scalar',
    ...place,
    text: node.tag === 'tag:yaml.org,2002:binary' ? String(value) : written,
    value,
    isNothing,
  };
}

const FEW = 400_000;
const MANY = 4_000_000;

/** As in yaml.v2: bounds the share of nodes that come from aliases, since a few lines can expand to billions. */
function countExpanded(root: GoNode): void {
  const visited = new Set<GoNode>();
  let count = 0;
  let again = 0;
  const walk = (node: GoNode, isAgain: boolean): void => {
    count++;
    const repeats = isAgain || (node.kind !== 'scalar' && visited.has(node));
    if (repeats) again++;
    visited.add(node);
    const allowed = count <= FEW ? 0.99 : count >= MANY ? 0.1 : 0.99 - (0.89 * (count - FEW)) / (MANY - FEW);
    if (again > 100 && count > 1000 && again / count > allowed) throw new GoYamlError(EXCESSIVE, root);
    if (node.kind === 'list') for (const item of node.items) walk(item, repeats);
    else if (node.kind === 'map') {
      for (const { key, value, mergedAt } of node.entries) {
        walk(key, repeats || mergedAt !== undefined);
        walk(value, repeats || mergedAt !== undefined);
      }
    }
  };
  walk(root, false);
}
