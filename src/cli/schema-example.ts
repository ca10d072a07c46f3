/**
 * **In**: the JSON Schema of a config. **Out**: an example in YAML: every key explained, optional keys commented out.
 * **Fails**: never; a key without an example gets one of its type.
 */
import { stringify } from 'yaml';

/** The part of JSON Schema that zod writes for configs. */
export interface JsonSchema {
  readonly type?: string;
  readonly description?: string;
  readonly default?: unknown;
  readonly examples?: readonly unknown[];
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly secret?: boolean;
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly required?: readonly string[];
  readonly additionalProperties?: boolean | JsonSchema;
  readonly items?: JsonSchema;
  readonly anyOf?: readonly JsonSchema[];
  readonly oneOf?: readonly JsonSchema[];
  readonly allOf?: readonly JsonSchema[];
}

/** The lines of an object's keys; empty if it has none. */
export function exampleLines(schema: JsonSchema): string[] {
  return Object.entries(schema.properties ?? {}).flatMap(([key, field]) =>
    fieldLines(key, field, schema.required?.includes(key) ?? false),
  );
}

function fieldLines(key: string, field: JsonSchema, isRequired: boolean): string[] {
  const lines = [...comment(field, isRequired), ...valueLines(key, field)];
  return isRequired ? lines : lines.map((line) => (line.startsWith('#') ? line : `# ${line}`));
}

function comment(field: JsonSchema, isRequired: boolean): string[] {
  const shape = chosen(field);
  const notes = [
    isRequired ? 'required' : field.default === undefined ? 'may be left out' : `default ${inline(field.default)}`,
    ...(shape.enum === undefined ? [] : [`one of ${shape.enum.map(inline).join(', ')}`]),
    ...(isSecret(field) ? ['secret: { $env: NAME } or { $file: PATH }'] : []),
  ];
  const description = field.description ?? shape.description;
  return [`# ${description === undefined ? '' : `${description} `}(${notes.join('; ')})`];
}

const isSecret = (field: JsonSchema): boolean =>
  field.secret === true || [...(field.anyOf ?? []), ...(field.oneOf ?? [])].some(isSecret);

/** The first of several forms that is not null; the description explains the others. */
function chosen(field: JsonSchema): JsonSchema {
  const forms = field.anyOf ?? field.oneOf ?? field.allOf;
  const form = forms?.find(({ type }) => type !== 'null');
  return form === undefined ? field : chosen(form);
}

function valueLines(key: string, field: JsonSchema): string[] {
  const given = field.examples?.[0] ?? nonEmpty(field.default);
  if (given !== undefined) return [`${key}: ${inline(given)}`];
  const shape = chosen(field);
  if (shape.properties !== undefined) return [`${key}:`, ...indented(filled(exampleLines(shape)))];
  if (typeof shape.additionalProperties === 'object')
    return [`${key}:`, ...indented(valueLines('NAME', shape.additionalProperties))];
  if (shape.items !== undefined) return listLines(key, chosen(shape.items));
  return [`${key}: ${scalar(shape)}`];
}

function listLines(key: string, item: JsonSchema): string[] {
  const lines = filled(exampleLines(item));
  if (lines.length === 0) return [`${key}: [${scalar(item)}]`];
  return [`${key}:`, '  -', ...indented(indented(lines))];
}

/** An object that may be empty shows its first key; entirely commented out, it would read as null. */
function filled(lines: readonly string[]): string[] {
  if (lines.some((line) => !line.startsWith('#'))) return [...lines];
  const first = lines.findIndex((line) => /^# [\w-]+:( |$)/.test(line));
  return lines.map((line, at) => (at === first ? line.slice(2) : line));
}

function nonEmpty(value: unknown): unknown {
  if (value === undefined || value === null) return undefined;
  return typeof value === 'object' && Object.keys(value).length === 0 ? undefined : value;
}

function scalar(shape: JsonSchema): string {
  if (shape.const !== undefined) return inline(shape.const);
  if (shape.enum !== undefined) return inline(shape.enum[0]);
  return BY_TYPE.get(shape.type ?? 'string') ?? '"..."';
}

const BY_TYPE: ReadonlyMap<string, string> = new Map([
  ['integer', '1'],
  ['number', '1'],
  ['boolean', 'true'],
  ['array', '[]'],
  ['object', '{}'],
]);

const inline = (value: unknown): string => stringify(value, { collectionStyle: 'flow', lineWidth: 0 }).trim();
export const indented = (lines: readonly string[], by = '  '): string[] => lines.map((line) => `${by}${line}`);
