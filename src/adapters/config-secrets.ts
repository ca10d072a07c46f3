/**
 * The secrets of a handler's config, which errors of its plugin and of the client of its backend may repeat.
 * **In**: the schema and the values of a config. **Out**: the texts that are secret. **Fails**: never.
 */
import { HIDDEN } from '../attributes/secrets.ts';
import { schemaParts } from '../text/schema-parts.ts';
import type { SecretText } from '../text/secret-texts.ts';

/** Of fields that a schema marks as secret, and the passwords of URLs. */
export function secretsOfConfig(schema: unknown, config: unknown): readonly SecretText[] {
  return [...markedTexts(schema, config), ...textsIn(config).flatMap(passwordsOf)].map((text) => ({
    text,
    shown: HIDDEN,
  }));
}

function markedTexts(schema: unknown, value: unknown): readonly string[] {
  if (value === undefined || value === null || schema === undefined) return [];
  const { meta, shape, innerType, element, valueType, options, in: input } = schemaParts(schema);
  if (meta?.['secret'] === true) return textsIn(value);
  const same = [innerType, input, ...(options ?? [])].flatMap((one) => markedTexts(one, value));
  if (Array.isArray(value)) return [...same, ...value.flatMap((item) => markedTexts(element, item))];
  if (typeof value !== 'object') return same;
  return [...same, ...Object.entries(value).flatMap(([key, one]) => markedTexts(shape?.[key] ?? valueType, one))];
}

/** Names of the members that are secret, or have a part that is. */
export const secretMembers = (schema: unknown, value: unknown): readonly string[] =>
  typeof value !== 'object' || value === null
    ? []
    : Object.entries(value).flatMap(([name, one]) => (markedTexts(schema, { [name]: one }).length > 0 ? [name] : []));

function textsIn(value: unknown): readonly string[] {
  if (typeof value === 'string') return [value];
  return typeof value === 'object' && value !== null ? Object.values(value).flatMap(textsIn) : [];
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
