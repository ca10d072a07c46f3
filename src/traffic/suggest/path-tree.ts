/**
 * The paths of a host, as a tree of segments in which ids are merged.
 * **In**: paths. **Out**: {@link Template}s, which cover every path that was added. **Fails**: never; a path for which there is no room
 * is rejected.
 *
 * Merging happens at fixed numbers of distinct segments and joins whole subtrees, so the result does not depend on the order of paths.
 */
import { Endpoint, type Room } from './evidence.ts';
import { Alphabet, quoted, type SegmentShape, shapeOf } from './segment-shape.ts';

/** Of one node, while paths are added: a bound of memory. */
const MAX_CHILDREN = 1000;
/** More different words than this, each in few calls, are values: user names, slugs. */
const MAX_WORDS = 50;
/** At the first segment words are more often services and pages than values. */
const MAX_FIRST_WORDS = 200;
/** A word in at least this share of the calls of its place is a name of its own. */
const HEAVY_SHARE = 0.02;

/** One segment of a template. */
export interface TemplateSegment {
  /** The text itself, if it is a constant. */
  readonly label: string;
  readonly pattern: string;
  readonly isConstant: boolean;
  /** Constants at the same place that its pattern would cover, although they have templates of their own. */
  readonly except: readonly string[];
  /** The pattern is of the characters and lengths that were observed, not of a known kind of id. */
  readonly isWide: boolean;
}

export interface Template {
  readonly segments: readonly TemplateSegment[];
  readonly endpoint: Endpoint;
}

interface Group {
  readonly shape: SegmentShape;
  readonly alphabet: Alphabet;
  /** By segment; `undefined` once merged. */
  constants: Map<string, PathNode> | undefined;
  merged: PathNode | undefined;
}

class PathNode {
  endpoint: Endpoint | undefined;
  /** By pattern. */
  readonly groups = new Map<string, Group>();
  /** All children, if there are more than {@link MAX_CHILDREN}. */
  any: { readonly node: PathNode; readonly alphabet: Alphabet } | undefined;

  get calls(): number {
    return this.children().reduce((sum, child) => sum + child.calls, this.endpoint?.calls ?? 0);
  }

  children(): PathNode[] {
    if (this.any !== undefined) return [this.any.node];
    return [...this.groups.values()].flatMap(childrenOf);
  }
}

const childrenOf = ({ constants, merged }: Group): PathNode[] =>
  merged === undefined ? [...(constants?.values() ?? [])] : [merged];

export class PathTree {
  readonly #root = new PathNode();

  /** `undefined` if there is no room for the nodes of the path. */
  endpointOf(path: string, room: Room): Endpoint | undefined {
    let node: PathNode | undefined = this.#root;
    for (const segment of path.slice(1).split('/')) {
      node = this.#child(node, segment, room);
      if (node === undefined) return undefined;
    }
    return (node.endpoint ??= new Endpoint());
  }

  /** Once, at the end: merging moves subtrees. */
  templates(): Template[] {
    const found: Template[] = [];
    collect(this.#root, [], found);
    return found;
  }

  #child(node: PathNode, segment: string, room: Room): PathNode | undefined {
    if (node.any !== undefined) {
      node.any.alphabet.add(segment);
      return node.any.node;
    }
    const shape = shapeOf(segment);
    const group = node.groups.get(shape.pattern);
    const known = group?.merged ?? group?.constants?.get(segment);
    if (known !== undefined) {
      if (group?.merged !== undefined) group.alphabet.add(segment);
      return known;
    }
    if (!room.take()) return undefined;
    const child = new PathNode();
    attach(node, segment, shape, child);
    return node.any === undefined
      ? (node.groups.get(shape.pattern)?.merged ?? child)
      : (node.any as { readonly node: PathNode }).node;
  }
}

/** Adds a child, and merges where there are now too many. */
function attach(node: PathNode, segment: string, shape: SegmentShape, child: PathNode): void {
  let group = node.groups.get(shape.pattern);
  if (group === undefined)
    node.groups.set(
      shape.pattern,
      (group = { shape, alphabet: new Alphabet(), constants: new Map(), merged: undefined }),
    );
  group.alphabet.add(segment);
  const known = group.merged ?? group.constants?.get(segment);
  if (known !== undefined) join(known, child);
  else {
    group.constants?.set(segment, child);
    mergeIfVaried(group);
  }
  if (node.groups.size > MAX_CHILDREN) mergeAll(node);
}

function mergeIfVaried(group: Group): void {
  if (group.constants === undefined || group.constants.size <= group.shape.maxConstants) return;
  group.merged = joined([...group.constants.values()]);
  group.constants = undefined;
}

function mergeAll(node: PathNode): void {
  if (node.any !== undefined) return;
  const alphabet = new Alphabet();
  for (const group of node.groups.values()) alphabet.join(group.alphabet);
  node.any = { node: joined(node.children()), alphabet };
  node.groups.clear();
}

function joined([first = new PathNode(), ...rest]: readonly PathNode[]): PathNode {
  for (const other of rest) join(first, other);
  return first;
}

/** Moves the second subtree into the first. */
function join(into: PathNode, other: PathNode): void {
  if (other.endpoint !== undefined) (into.endpoint ??= new Endpoint()).join(other.endpoint);
  if (into.any !== undefined || other.any !== undefined) {
    mergeAll(into);
    mergeAll(other);
    if (into.any === undefined || other.any === undefined) return;
    into.any.alphabet.join(other.any.alphabet);
    join(into.any.node, other.any.node);
    return;
  }
  for (const [pattern, group] of other.groups) {
    const own = into.groups.get(pattern);
    if (own === undefined) into.groups.set(pattern, group);
    else joinGroups(own, group);
  }
  if (into.groups.size > MAX_CHILDREN) mergeAll(into);
}

function joinGroups(into: Group, other: Group): void {
  into.alphabet.join(other.alphabet);
  if (into.merged !== undefined || other.merged !== undefined) {
    into.merged = joined([...childrenOf(into), ...childrenOf(other)]);
    into.constants = undefined;
    return;
  }
  for (const [segment, node] of other.constants ?? []) {
    const known = into.constants?.get(segment);
    if (known === undefined) into.constants?.set(segment, node);
    else join(known, node);
  }
  mergeIfVaried(into);
}

/** Alternatives for the next segment, and what is below each. */
interface Alternative {
  readonly segment: TemplateSegment;
  readonly node: PathNode;
}

function collect(node: PathNode, above: readonly TemplateSegment[], found: Template[]): void {
  if (node.endpoint !== undefined) found.push({ segments: above, endpoint: node.endpoint });
  for (const { segment, node: below } of alternatives(node, above.length === 0))
    collect(below, [...above, segment], found);
}

function alternatives(node: PathNode, isFirst: boolean): Alternative[] {
  if (node.any !== undefined) return [{ segment: anyOf(node.any.alphabet, []), node: node.any.node }];
  const constants = [...node.groups.values()].flatMap(({ constants: own }) => [...(own ?? [])]);
  const isMany = constants.length > (isFirst ? MAX_FIRST_WORDS : MAX_WORDS);
  const heavyCalls = isMany ? node.calls * HEAVY_SHARE : 0;
  const values = isMany ? constants.filter(([, { calls }]) => calls < heavyCalls) : [];
  const isMerged = values.length > MAX_WORDS;
  const names = isMerged ? constants.filter(([, { calls }]) => calls >= heavyCalls) : constants;
  const words = names.map(([word]) => word).toSorted();
  const exceptOf = (pattern: string): string[] => {
    const whole = new RegExp(`^(?:${pattern})$`);
    return words.filter((word) => whole.test(word));
  };
  const found: Alternative[] = names.map(([word, below]) => ({
    segment: { label: word, pattern: quoted(word), isConstant: true, except: [], isWide: false },
    node: below,
  }));
  for (const { shape, merged } of node.groups.values())
    if (merged !== undefined)
      found.push({
        segment: { ...shape, isConstant: false, except: exceptOf(shape.pattern), isWide: false },
        node: merged,
      });
  if (isMerged) {
    const alphabet = new Alphabet();
    for (const [word] of values) alphabet.add(word);
    found.push({
      segment: anyOf(alphabet, exceptOf(alphabet.pattern)),
      node: joined(values.map(([, below]) => below)),
    });
  }
  return found;
}

const anyOf = ({ pattern }: Alphabet, except: readonly string[]): TemplateSegment => ({
  label: '{text}',
  pattern,
  isConstant: false,
  except,
  isWide: true,
});
