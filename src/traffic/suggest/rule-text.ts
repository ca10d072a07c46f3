/** The match of a proposed rule, in CEL. */
import type { Grouping } from './observations.ts';
import type { TemplateSegment } from './path-tree.ts';
import { quoted } from './segment-shape.ts';

/** The caller as rules read it: text, empty without an identity. */
export const CALLER: Readonly<Record<Grouping, string>> = {
  principal: 'source.?principal.orValue("")',
  namespace: 'source.?spiffe.?namespace.orValue("")',
  address: 'string(origin.ip)',
};

export const NOUN: Readonly<Record<Grouping, string>> = {
  principal: 'a principal',
  namespace: 'a namespace',
  address: 'an address',
};

/** What a rule allows at its place. */
export interface Allowed {
  readonly methods: readonly string[];
  /** `undefined`: any, or any with an identity; of these `''` has none. */
  readonly callers: readonly string[] | undefined;
  readonly needsIdentity: boolean;
}

export function matchOf(
  host: string,
  { methods, callers, needsIdentity }: Allowed,
  segments: readonly TemplateSegment[],
  groupBy: Grouping,
): string {
  const parts = [`request.host == ${celText(host)}`, isOneOf('request.method', methods)];
  if (segments.every(({ isConstant }) => isConstant))
    parts.push(`request.url_path == ${celText(templateText(segments))}`);
  else parts.push(`request.url_path.matches(${celText(`^${patternOf(segments)}$`)})`);
  for (const [at, { except }] of segments.entries()) {
    if (except.length === 0) continue;
    const before = patternOf(segments.slice(0, at));
    parts.push(`!request.url_path.matches(${celText(`^${before}/(?:${except.map(quoted).join('|')})(?:/|$)`)})`);
  }
  if (callers !== undefined) parts.push(isOneOf(CALLER[groupBy], callers));
  else if (needsIdentity) parts.push(`${CALLER[groupBy]} != ""`);
  return parts.join(' && ');
}

const isOneOf = (what: string, values: readonly string[]): string =>
  values.length === 1 ? `${what} == ${celText(values[0] ?? '')}` : `${what} in [${values.map(celText).join(', ')}]`;

/** A text of CEL in printable ASCII, so that YAML reads it as it is. */
function celText(text: string): string {
  return JSON.stringify(text.toWellFormed()).replaceAll(/[^\x20-\x7e]/gu, (character) => {
    const code = character.codePointAt(0) ?? 0;
    const digits = code.toString(16);
    return code > 0xffff ? `\\U${digits.padStart(8, '0')}` : `\\u${digits.padStart(4, '0')}`;
  });
}

/** `/users/{int}`; of constants the path itself. */
export const templateText = (segments: readonly TemplateSegment[]): string =>
  segments.map(({ label }) => `/${label}`).join('');
export const patternOf = (segments: readonly TemplateSegment[]): string =>
  segments.map(({ pattern }) => `/${pattern}`).join('');
