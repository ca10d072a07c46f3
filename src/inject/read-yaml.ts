/**
 * YAML as Kubernetes reads it: version 1.1, where `yes` is true and 0644 octal, but times and sexagesimals are text.
 */
import {
  type Document,
  isAlias,
  isCollection,
  isPair,
  type ParsedNode,
  parseDocument,
  type ScalarTag,
  type Tags,
} from 'yaml';
import { messageOf } from '../text/message-of.ts';

/** Of maps and lists in each other; the library reads them by recursion. */
const MAX_DEPTH = 200;
const TOO_DEEP = `maps and lists are nested deeper than ${MAX_DEPTH}`;
/** Of one anchor, nested ones multiplied. */
const MAX_ALIASES = 100;

const NOT_OF_KUBERNETES = new Set(
  ['timestamp', 'binary', 'omap', 'pairs', 'set'].map((name) => `tag:yaml.org,2002:${name}`),
);
/** The library takes `.` and `e1` for numbers. */
const FLOATS: Readonly<Record<string, RegExp>> = {
  '': /^[-+]?(?:\d[\d_]*\.[\d_]*|\.\d[\d_]*)$/,
  EXP: /^[-+]?(?:\d[\d_]*(?:\.[\d_]*)?|\.\d[\d_]*)[eE][-+]?\d+$/,
};

function tagsOfKubernetes(tags: Tags): Tags {
  return tags.flatMap((tag): Tags => {
    if (typeof tag === 'string') return [tag];
    if (NOT_OF_KUBERNETES.has(tag.tag) || ('format' in tag && tag.format === 'TIME')) return [];
    const test = tag.tag === 'tag:yaml.org,2002:float' && isNumberTest(tag) ? FLOATS[tag.format ?? ''] : undefined;
    return [test === undefined ? tag : ({ ...tag, test } as typeof tag)];
  });
}

/** `.inf` and `.nan` have no digits in their test. */
const isNumberTest = (tag: object): tag is ScalarTag =>
  'test' in tag && tag.test instanceof RegExp && /0-9/.test(tag.test.source);

const OF_KUBERNETES = {
  version: '1.1',
  merge: true,
  logLevel: 'silent',
  prettyErrors: false,
  customTags: tagsOfKubernetes,
} as const;

export class YamlFault extends Error {
  /** In the text. */
  readonly offset: number;

  constructor(message: string, offset = 0) {
    super(message);
    this.offset = offset;
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
    if (fault !== undefined) throw new YamlFault(fault.message, fault.pos[0]);
    checkNodes(document.contents, 0);
    return { document, value: document.toJS({ maxAliasCount: MAX_ALIASES }) as unknown };
  } catch (error) {
    if (error instanceof YamlFault) throw error;
    throw new YamlFault(error instanceof RangeError ? TOO_DEEP : messageOf(error));
  }
}

/** Keys that are maps take the library a time that doubles with each level; an alias in its own anchor makes an object without end. */
function checkNodes(node: unknown, depth: number, open: readonly string[] = []): void {
  if (depth > MAX_DEPTH) throw new YamlFault(TOO_DEEP);
  if (isAlias(node) && open.includes(node.source))
    throw new YamlFault(`the alias *${node.source} stands in its own anchor`, node.range?.[0]);
  if (!isCollection(node)) return;
  const inside = node.anchor === undefined ? open : [...open, node.anchor];
  for (const item of node.items) {
    if (!isPair(item)) checkNodes(item, depth + 1, inside);
    else if (isCollection(item.key))
      throw new YamlFault('a key is a map or a list; Kubernetes has text alone', item.key.range?.[0]);
    else checkNodes(item.value, depth + 1, inside);
  }
}
