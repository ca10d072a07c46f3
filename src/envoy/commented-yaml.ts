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

type YamlNode = Scalar | YAMLMap | YAMLSeq;

/** The longest value that is written on one line, as JSON. */
const MAX_INLINE = 100;

function nodeOf(value: unknown): YamlNode {
  if (value instanceof Noted) return nodeOf(value.value);
  const isInline =
    typeof value === 'object' && value !== null && !hasComment(value) && JSON.stringify(value).length <= MAX_INLINE;
  if (Array.isArray(value)) {
    const list = new YAMLSeq();
    list.flow = isInline && !JSON.stringify(value).includes('"@type"');
    for (const item of value as unknown[]) {
      const node = nodeOf(item);
      if (item instanceof Noted) node.commentBefore = spaced(item.comment);
      list.items.push(node);
    }
    return list;
  }
  if (typeof value !== 'object' || value === null) return new Scalar(value);
  const map = new YAMLMap();
  map.flow = isInline;
  for (const [name, of] of Object.entries(value)) {
    if (of === undefined) continue;
    const key = new Scalar(name);
    if (of instanceof Noted) key.commentBefore = spaced(of.comment);
    map.items.push(new Pair(key, nodeOf(of)));
  }
  return map;
}

const spaced = (comment: string): string => comment.replaceAll(/^/gm, ' ');

function hasComment(value: unknown): boolean {
  if (value instanceof Noted) return true;
  if (typeof value !== 'object' || value === null) return false;
  return Object.values(value).some(hasComment);
}
