/**
 * Values with comments, as YAML.
 * **In**: plain values, some of them {@link noted}. **Out**: text; short maps and lists on one line. **Fails**: never.
 */
import { Document, Pair, Scalar, YAMLMap, YAMLSeq } from 'yaml';

/** A value, and the comment above it. */
class Noted {
  readonly value: unknown;
  readonly comment: string;

  constructor(value: unknown, comment: string) {
    this.value = value;
    this.comment = comment;
  }
}

/** Without a comment, the value itself. */
export const noted = (value: unknown, ...comments: readonly (string | undefined)[]): unknown => {
  const comment = comments.filter((line) => line !== undefined && line !== '').join('\n');
  return comment === '' || value === undefined ? value : new Noted(value, comment);
};

/** The value under a comment. */
export const valueOf = (value: unknown): unknown => (value instanceof Noted ? value.value : value);

/** The value without comments, as Envoy reads it. */
export function plainOf(value: unknown): unknown {
  if (value instanceof Noted) return plainOf(value.value);
  if (Array.isArray(value)) return value.map(plainOf);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).flatMap(([key, of]) => (of === undefined ? [] : [[key, plainOf(of)]])),
  );
}

/** `head`: a comment above the document. */
export function yamlText(value: unknown, head = ''): string {
  const document = new Document(null, { version: '1.1' }); // Envoy and Kubernetes read `n` and `on` as booleans
  document.contents = nodeOf(value) as never;
  return `${head === '' ? '' : `${asComment(head)}\n\n`}${document.toString({ lineWidth: 0, flowCollectionPadding: true })}`;
}

export const asComment = (text: string): string =>
  text
    .split('\n')
    .map((line) => (line === '' ? '#' : `# ${line}`))
    .join('\n');

interface Written {
  readonly node: Scalar | YAMLMap | YAMLSeq;
  /** The length on one line; infinite if there is a comment inside, or a type, which stays on a line of its own in lists. */
  readonly length: number;
}

/** The longest value that is written on one line. */
const MAX_INLINE = 100;

const nodeOf = (value: unknown): Written['node'] => written(value).node;

function written(value: unknown): Written {
  if (value instanceof Noted) return { node: nodeOf(value.value), length: Infinity };
  if (Array.isArray(value)) return list(value as unknown[]);
  if (typeof value === 'object' && value !== null) return map(value);
  return { node: new Scalar(value), length: String(value).length };
}

function list(items: readonly unknown[]): Written {
  const node = new YAMLSeq();
  let length = 2;
  for (const item of items) {
    const one = written(item);
    if (item instanceof Noted) one.node.commentBefore = spaced(item.comment);
    length += one.length + 2;
    node.items.push(one.node);
  }
  node.flow = length <= MAX_INLINE;
  return { node, length };
}

function map(value: object): Written {
  const node = new YAMLMap();
  let length = 2;
  for (const [name, of] of Object.entries(value)) {
    if (of === undefined) continue;
    const key = new Scalar(name);
    if (of instanceof Noted) key.commentBefore = spaced(of.comment);
    const one = written(of);
    length += name.length + one.length + 4;
    node.items.push(new Pair(key, one.node));
  }
  node.flow = length <= MAX_INLINE;
  return { node, length: '@type' in value ? Infinity : length };
}

const spaced = (comment: string): string => comment.replaceAll(/^/gm, ' ');
