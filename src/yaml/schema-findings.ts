/**
 * A value from YAML, parsed by the zod schema of an adapter.
 * **In**: schema, value, the node it stands in. **Out**: the parsed value. **Fails**: with a finding at the path of each issue.
 */
import type { z } from 'zod';
import { messageOf } from '../text/message-of.ts';
import { meant } from '../text/nearest.ts';
import { marksSecrets, schemaParts } from '../text/schema-parts.ts';
import type { Findings } from './findings.ts';
import { type Node, nodeAt } from './nodes.ts';
import { grouped, type SchemaFault } from './schema-faults.ts';

export interface ParseOptions {
  /** Nodes with an error that is already reported. */
  readonly reported?: ReadonlySet<Node>;
  /** A message of the schema, which may quote the value, without its secrets. */
  readonly shown?: (text: string) => string;
}

export function parsedBy(
  schema: z.ZodType,
  value: unknown,
  node: Node,
  code: string,
  what: string,
  findings: Findings,
  { reported = new Set(), shown = (text) => text }: ParseOptions = {},
): { readonly value: unknown } | undefined {
  const parsed = tryParse(schema, value);
  if ('thrown' in parsed) {
    findings.add(
      'error',
      code,
      node.place,
      `${what}: the schema of the adapter threw an error: ${shown(messageOf(parsed.thrown))}; report it to the author of the plugin`,
    );
    return undefined;
  }
  if (parsed.success) return { value: parsed.data };
  const { issues, left } = firstOf(parsed.error.issues);
  for (const [fault, ...others] of grouped(issues, schema, node, findings.misplaced)) {
    const { node: at, entry, whole } = nodeAt(node, fault.path);
    if (reported.size > 0 && at.kind === 'map' && [...at.entries.values()].some((one) => reported.has(one.value)))
      continue;
    const names = [fault, ...others].map(({ path }) => shown(path.map(String).join('.')));
    const name = fault.path.length === 0 ? what : `${what}, ${names.join(', ')}`;
    if (fault.empty !== undefined) findings.explain(fault.empty.value.place);
    const why =
      fault.kind === 'unknown'
        ? `unknown key${others.length > 0 ? 's' : ''}${hintOf(fault, others.length > 0)}`
        : others.length > 0
          ? 'they are missing'
          : shown(issueText(fault.issue, whole));
    findings.add('error', code, fault.kind === 'unknown' ? (entry?.keyPlace ?? at.place) : at.place, `${name}: ${why}`);
  }
  if (left > 0) findings.add('error', code, node.place, `${what}: ${left} more values or keys are wrong`);
  return undefined;
}

/** Of one value: tens of thousands would be looked at in one turn of the event loop, and read by nobody. */
const MAX_ISSUES = 200;

/** `left`: how many there are beyond. */
function firstOf(all: readonly z.core.$ZodIssue[]): {
  readonly issues: readonly z.core.$ZodIssue[];
  readonly left: number;
} {
  const issues: z.core.$ZodIssue[] = [];
  let room = MAX_ISSUES;
  let left = 0;
  for (const issue of all) {
    const count = issue.code === 'unrecognized_keys' ? issue.keys.length : 1;
    if (room > 0)
      issues.push(
        issue.code === 'unrecognized_keys' && count > room ? { ...issue, keys: issue.keys.slice(0, room) } : issue,
      );
    left += Math.max(0, count - room);
    room = Math.max(0, room - count);
  }
  return { issues, left };
}

/** Whether the schema takes the value; one that throws does not, and {@link parsedBy} says why. */
export const isAccepted = (schema: z.ZodType, value: unknown): boolean => {
  const parsed = tryParse(schema, value);
  return 'success' in parsed && parsed.success;
};

/** A schema is the code of a plugin: a refinement or a transform may throw, or be asynchronous. */
function tryParse(schema: z.ZodType, value: unknown): z.ZodSafeParseResult<unknown> | { readonly thrown: unknown } {
  try {
    return schema.safeParse(value);
  } catch (thrown) {
    return { thrown };
  }
}

const hintOf = ({ path, empty, known }: SchemaFault, areSeveral: boolean): string =>
  empty === undefined
    ? meant(areSeveral ? '' : String(path.at(-1)), known)
    : `; if ${areSeveral ? 'they belong' : 'it belongs'} to ${empty.key}, indent ${areSeveral ? 'them' : 'it'} deeper`;

/** JavaScript's types in the words of YAML. */
const WORDS: ReadonlyMap<string, string> = new Map([
  ['record', 'a map'],
  ['object', 'a map'],
  ['array', 'a list'],
  ['boolean', 'true or false'],
]);

/** Zod says `Invalid input: expected string, received undefined` where a key is missing. */
function issueText(issue: z.core.$ZodIssue, isThere: boolean): string {
  // Of a key that a map may not have, the reason stands inside.
  const { code, message } = issue.code === 'invalid_key' ? (issue.issues[0] ?? issue) : issue;
  const text =
    code === 'invalid_type' || code === 'invalid_value'
      ? message
          .replace(/^Invalid (input|option): /, '')
          .replaceAll(
            /(?<=(?:expected|received) )(?:record|object|array|boolean)\b/g,
            (word) => WORDS.get(word) ?? word,
          )
      : message;
  return isThere ? text : `it is missing; ${text.replace(/, received undefined$/, '')}`;
}

/** The value with `(secret)` wherever the schema marks a secret. */
export function withoutSecrets(shown: unknown, schema: unknown): unknown {
  if (!marksSecrets(schema)) return shown;
  const { shape, meta, innerType, element, valueType } = schemaParts(schema);
  if (meta?.['secret'] === true) return typeof shown === 'object' ? shown : '(secret)';
  if (innerType !== undefined) return withoutSecrets(shown, innerType);
  if (Array.isArray(shown))
    return element === undefined ? shown : shown.map((item: unknown) => withoutSecrets(item, element));
  if (typeof shown !== 'object' || shown === null) return shown;
  if (valueType !== undefined)
    return Object.fromEntries(Object.entries(shown).map(([key, value]) => [key, withoutSecrets(value, valueType)]));
  if (shape === undefined) return shown;
  return Object.fromEntries(
    Object.entries(shown).map(([key, value]) => [key, key in shape ? withoutSecrets(value, shape[key]) : value]),
  );
}
