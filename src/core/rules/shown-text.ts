/**
 * The text of a policy for operators who change a copy of it.
 * **In**: its files. **Out**: one text that says the same, its documents in order, without `handlers` and without comments.
 * **Fails**: with a sentence, if the text is too large or cannot be separated from its handlers.
 *
 * Configs of handlers are the only part of a policy that may hold secrets, whether a schema marks them or not; a comment may hold an
 * earlier config.
 */
import { resolve } from 'node:path';
import { withoutCredentials } from '../../attributes/credentials.ts';
import { TimeSlice } from '../../time/time-slice.ts';
import { parseDocuments } from '../../yaml/document.ts';
import { Findings } from '../../yaml/findings.ts';
import type { MapNode, Node, Place } from '../../yaml/nodes.ts';
import type { PolicyFiles } from '../../yaml/policy-files.ts';
import { SourceText } from '../../yaml/source-text.ts';
import { documentKind } from './document-kind.ts';
import { dataFiles } from './load.ts';

/** UTF-16 units of all files; a larger text is no use in a text field of a page. */
const MAX_LENGTH = 256 * 1024;

export type ShownText = { readonly text: string } | { readonly why: string };

export async function shownText({ files, found }: PolicyFiles): Promise<ShownText> {
  const length = files.reduce((sum, { text }) => sum + text.length, 0);
  if (length > MAX_LENGTH)
    return { why: `the policy has ${length} characters; a text of at most ${MAX_LENGTH} is shown` };
  const slice = new TimeSlice();
  const findings = new Findings();
  const parsed = [];
  for (const { file, text } of files) {
    const { documents, broken } = await parseDocuments(new SourceText(file, text), findings, slice);
    if (broken) return { why: `${file} is not valid YAML` };
    parsed.push({ file, documents });
  }
  const data = dataFiles(parsed.flatMap(({ documents }) => documents.map(({ root }) => root)));
  const shown: string[] = [];
  for (const { file, documents } of parsed) {
    if (found.has(file) && data.has(resolve(file))) continue;
    for (const document of documents) {
      const kind = documentKind(document, findings);
      const { root } = document;
      if (!['policy', 'istio', 'list'].includes(kind.kind) || root.kind !== 'map') continue;
      if (kind.kind === 'policy' && sharesAnchors(root))
        return { why: `${file} uses an anchor of its handlers elsewhere` };
      const text = textOf(root, kind.kind === 'policy' ? 'handlers' : undefined);
      if (text !== '') shown.push(`# ${file}\n${withoutCredentials(text)}\n`);
      if (slice.isOver) await slice.next();
    }
  }
  return { text: shown.join('---\n') };
}

/** Whether an alias outside of `handlers` names a value in it. */
function sharesAnchors({ entries }: MapNode): boolean {
  const handlers = entries.get('handlers');
  if (handlers === undefined) return false;
  const { start } = handlers.keyPlace;
  const { end } = handlers.value.place;
  return [...entries.values()].some(
    (entry) =>
      entry !== handlers && scalarsOf(entry.value).some(({ place }) => place.start >= start && place.end <= end),
  );
}

/** Without the entry `left`, up to the key that follows it, and without comments. */
function textOf({ place, entries }: MapNode, left: string | undefined): string {
  const { text } = place.source;
  const isFlow = text[place.start] === '{';
  const sorted = [...entries.values()].toSorted((a, b) => a.keyPlace.start - b.keyPlace.start);
  const end = isFlow ? place.end - 1 : place.end;
  const pieces = sorted.flatMap(({ key, keyPlace, value }, at) => {
    if (key === left) return [];
    const range = { ...keyPlace, end: sorted[at + 1]?.keyPlace.start ?? end };
    return [withoutComments(range, [...scalarsOf(value), { place: keyPlace, isBlock: false }]).trimEnd()];
  });
  return isFlow && pieces.length > 0 ? `{\n${pieces.join('\n')}\n}` : pieces.join('\n');
}

/** A text in which `#` begins no comment. */
interface Scalar {
  readonly place: Place;
  /** Its first line is `|` or `>`, and perhaps a comment. */
  readonly isBlock: boolean;
}

function scalarsOf(node: Node): Scalar[] {
  if (node.kind === 'list') return node.items.flatMap(scalarsOf);
  if (node.kind === 'map')
    return [...node.entries.values()].flatMap(({ keyPlace, value }) => [
      { place: keyPlace, isBlock: false },
      ...scalarsOf(value),
    ]);
  return [{ place: node.place, isBlock: node.style === 'literal' || node.style === 'folded' }];
}

const COMMENT = /(^|(?<=\s))#.*$/gm;
/** A line of spaces that held a comment alone; the end of the line before stays. */
const MARK = '\0';

function withoutComments({ source: { text }, start, end }: Place, scalars: readonly Scalar[]): string {
  let done = start;
  let shown = '';
  const between = (to: number): void => {
    if (to <= done) return;
    // A match needs the character before it to know whether # begins a comment.
    const before = text.slice(done - 1, done);
    shown += `${before}${text.slice(done, to)}`.replaceAll(COMMENT, MARK).slice(before.length);
    done = to;
  };
  const sorted = scalars
    .filter(({ place }) => place.start >= start && place.end <= end)
    .toSorted((a, b) => a.place.start - b.place.start);
  for (const { place, isBlock } of sorted) {
    if (place.start < done) continue; // the value of an alias
    between(place.start);
    if (isBlock) between(Math.min(place.end, lineEnd(text, place.start)));
    shown += text.slice(done, place.end);
    done = place.end;
  }
  between(end);
  return shown.replaceAll(/^[ \t]*\0\r?\n/gm, '').replaceAll(/[ \t]*\0/g, '');
}

const lineEnd = (text: string, from: number): number => {
  const at = text.indexOf('\n', from);
  return at === -1 ? text.length : at;
};
