/**
 * A value from YAML, parsed by the zod schema of an adapter.
 * **In**: schema, value, the node it stands in. **Out**: the parsed value. **Fails**: with a finding at the path of each issue.
 */
import type { z } from 'zod';
import { messageOf } from '../text/message-of.ts';
import { meant } from '../text/nearest.ts';
import { schemaParts, type SchemaParts } from '../text/schema-parts.ts';
import type { Findings } from './findings.ts';
import { type Node, nodeAt } from './nodes.ts';

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
  for (const issue of parsed.error.issues) {
    const keys = issue.code === 'unrecognized_keys' ? issue.keys : [];
    for (const path of keys.length > 0 ? keys.map((key) => [...issue.path, key]) : [issue.path]) {
      const { node: at, entry, whole } = nodeAt(node, path);
      if (at.kind === 'map' && [...at.entries.values()].some((one) => reported.has(one.value))) continue;
      const place = keys.length > 0 ? (entry?.keyPlace ?? at.place) : at.place;
      const name = path.length === 0 ? what : `${what}, ${shown(path.map(String).join('.'))}`;
      const why =
        keys.length > 0
          ? `unknown key${meant(String(path.at(-1)), keysAt(schema, issue.path))}`
          : shown(issueText(issue, whole));
      findings.add('error', code, place, `${name}: ${why}`);
    }
  }
  return undefined;
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

/** The keys that a schema has at a path, if it consists of objects and lists only. */
function keysAt(schema: unknown, path: readonly PropertyKey[]): readonly string[] {
  let at = unwrapped(schema);
  for (const step of path) {
    const { shape, element } = at;
    at = unwrapped(shape?.[String(step)] ?? element);
  }
  return Object.keys(at.shape ?? {});
}

/** Without what makes it optional or gives it a default. */
function unwrapped(schema: unknown): SchemaParts {
  const parts = schema === undefined ? {} : schemaParts(schema);
  return parts.shape === undefined && parts.element === undefined && parts.innerType !== undefined
    ? unwrapped(parts.innerType)
    : parts;
}

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
