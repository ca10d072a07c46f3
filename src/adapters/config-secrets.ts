/**
 * The secrets of a handler's config, which errors of its plugin and of the client of its backend may repeat.
 * **In**: the schema and the values of a config. **Out**: the texts that are secret. **Fails**: never.
 */
import { HIDDEN } from '../attributes/secrets.ts';
import { marksSecrets, schemaParts } from '../text/schema-parts.ts';
import type { SecretText } from '../text/secret-texts.ts';

/** Of fields that a schema marks as secret, and the passwords of URLs. */
export function secretsOfConfig(schema: unknown, config: unknown): readonly SecretText[] {
  const found: string[] = [];
  addMarked(schema, config, found);
  for (const text of textsIn(config)) if (text.includes('://')) found.push(...passwordsOf(text));
  return found.map((text) => ({ text, shown: HIDDEN }));
}

/** Appends to one list; a config may have a hundred thousand values, nearly all of which are not secret. */
function addMarked(schema: unknown, value: unknown, found: string[]): void {
  if (value === undefined || value === null || schema === undefined || !marksSecrets(schema)) return;
  const { meta, shape, innerType, element, valueType, options, in: input } = schemaParts(schema);
  if (meta?.['secret'] === true) {
    found.push(...textsIn(value));
    return;
  }
  for (const one of [innerType, input, ...(options ?? [])]) addMarked(one, value, found);
  if (Array.isArray(value)) for (const item of value) addMarked(element, item, found);
  else if (typeof value === 'object')
    for (const [key, one] of Object.entries(value)) addMarked(shape?.[key] ?? valueType, one, found);
}

/** Names of the members that are secret, or have a part that is. */
export const secretMembers = (schema: unknown, value: unknown): readonly string[] =>
  typeof value !== 'object' || value === null
    ? []
    : Object.entries(value).flatMap(([name, one]) => {
        const found: string[] = [];
        addMarked(schema, { [name]: one }, found);
        return found.length > 0 ? [name] : [];
      });

function textsIn(value: unknown, found: string[] = []): readonly string[] {
  if (typeof value === 'string') found.push(value);
  else if (Array.isArray(value)) for (const one of value) textsIn(one, found);
  else if (typeof value === 'object' && value !== null) for (const one of Object.values(value)) textsIn(one, found);
  return found;
}

/** As written, and as a client sends it. */
function passwordsOf(text: string): readonly string[] {
  const password = /^[a-z][a-z0-9+.-]*:\/\/[^\s/?#]*?:([^\s/?#]*)@/i.exec(text)?.[1];
  if (password === undefined) return [];
  try {
    return [password, decodeURIComponent(password)];
  } catch {
    return [password];
  }
}
