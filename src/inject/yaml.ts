/**
 * YAML as Kubernetes reads it: version 1.1, where `yes` is true and 0644 octal, but times and sexagesimals are text.
 */
import { type Document, isCollection, isMap, isSeq, type ParsedNode, parseDocument, stringify, type Tags } from 'yaml';
import { messageOf } from '../text/message-of.ts';

/** Of maps and lists in each other; the library reads them by recursion. */
const MAX_DEPTH = 200;
const TOO_DEEP = `maps and lists are nested deeper than ${MAX_DEPTH}`;
/** Of one anchor, nested ones multiplied. */
const MAX_ALIASES = 100;

const NOT_OF_KUBERNETES = new Set(
  ['timestamp', 'binary', 'omap', 'pairs', 'set'].map((name) => `tag:yaml.org,2002:${name}`),
);

const OF_KUBERNETES = {
  version: '1.1',
  merge: true,
  logLevel: 'silent',
  keepSourceTokens: false,
  customTags: (tags: Tags): Tags =>
    tags.filter(
      (tag) =>
        typeof tag === 'string' || !(NOT_OF_KUBERNETES.has(tag.tag) || ('format' in tag && tag.format === 'TIME')),
    ),
} as const;

/** `line` and `column` count from 1, in the text. */
export class YamlFault extends Error {
  readonly line: number;
  readonly column: number;

  constructor(message: string, line = 1, column = 1) {
    super(message);
    this.line = line;
    this.column = column;
  }
}

export type YamlDocument = Document.Parsed<ParsedNode>;

export interface ReadYaml {
  readonly value: unknown;
  readonly document: YamlDocument;
}

/** The first document of a text. Throws a YamlFault. */
export function readYaml(text: string): ReadYaml {
  try {
    const document = parseDocument(text, OF_KUBERNETES);
    const [fault] = document.errors;
    if (fault !== undefined) {
      const [start] = fault.linePos ?? [];
      throw new YamlFault(fault.message.replace(/ at line \d+, column \d+:[^]*$/, ''), start?.line, start?.col);
    }
    checkNodes(document.contents, 0);
    return { document, value: document.toJS({ maxAliasCount: MAX_ALIASES }) as unknown };
  } catch (error) {
    if (error instanceof YamlFault) throw error;
    throw new YamlFault(error instanceof RangeError ? TOO_DEEP : messageOf(error));
  }
}

/** The library makes text of keys that are maps, in a time that doubles with each level. */
function checkNodes(node: unknown, depth: number): void {
  if (depth > MAX_DEPTH) throw new YamlFault(TOO_DEEP);
  if (isMap(node))
    for (const { key, value } of node.items) {
      if (isCollection(key)) throw new YamlFault('a key is a map or a list; Kubernetes has text alone');
      checkNodes(value, depth + 1);
    }
  else if (isSeq(node)) for (const item of node.items) checkNodes(item, depth + 1);
}

export const writeYaml = (value: unknown): string =>
  stringify(value, { version: '1.1', compat: 'core', lineWidth: 0, aliasDuplicateObjects: false });
