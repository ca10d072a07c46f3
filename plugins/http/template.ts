/**
 * Texts of a request with places for inputs.
 * **In**: `users/{user}/roles`. **Out**: its parts, and the names and types of the inputs that it needs.
 * **Fails**: with the reason, for a brace that begins or ends no place.
 */
import type { Shape } from 'sluice/plugin';

/** `{name}`; `{+name}` keeps slashes in a path; `{name?}` may be absent. */
export interface Place {
  readonly name: string;
  readonly keepsSlashes: boolean;
  readonly isOptional: boolean;
}
export type Template = readonly (string | Place)[];
export type Texts = Readonly<Record<string, unknown>>;

const PLACE = /\{(\+?)([a-z_][a-z0-9_]*)(\??)\}/gi;

/** The input that is sent as the body. */
export const BODY = 'body';

export function templateOf(text: string): Template {
  const parts: (string | Place)[] = [];
  let end = 0;
  for (const match of text.matchAll(PLACE)) {
    const [whole, plus, name = '', mark] = match;
    if (name === BODY) throw new Error(`${whole}: the input body is sent as the body; name this one otherwise`);
    if (match.index > end) parts.push(literal(text.slice(end, match.index)));
    parts.push({ name, keepsSlashes: plus === '+', isOptional: mark === '?' });
    end = match.index + whole.length;
  }
  if (end < text.length) parts.push(literal(text.slice(end)));
  return parts;
}

function literal(text: string): string {
  const [brace] = /[{}]/.exec(text) ?? [];
  if (brace !== undefined)
    throw new Error(`a ${brace} belongs to no {name}; for a brace in the text, write a place and give it by an input`);
  return text;
}

export const placesOf = (template: Template): readonly Place[] => template.filter((part) => typeof part !== 'string');

/** Names and types; an input is optional if it is so wherever it is used. */
export function shapeOf(templates: readonly Template[]): Shape {
  const shape: Record<string, 'string' | 'string?'> = {};
  for (const { name, isOptional } of templates.flatMap(placesOf))
    shape[name] = isOptional && shape[name] !== 'string' ? 'string?' : 'string';
  return shape;
}

/** `undefined` if an optional input is absent. */
export function filled(template: Template, texts: Texts): string | undefined {
  let text = '';
  for (const part of template) {
    if (typeof part === 'string') text += part;
    else {
      const value = texts[part.name];
      if (typeof value !== 'string') return undefined;
      text += value;
    }
  }
  return text;
}
