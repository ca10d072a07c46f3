/**
 * Access evaluations of AuthZEN 1.0.
 * **In**: a JSON document. **Out**: the evaluations that it asks for, each complete, or the reason why it is not. **Fails**: with a
 * {@link BadRequest} for a document that asks for none.
 */
import { z } from 'zod';
import type { Json } from '../../../attributes/json-value.ts';
import { isObject, type JsonObject } from '../../../text/json-object.ts';

export class BadRequest extends Error {}

const properties = z.record(z.string(), z.custom<Json>()).default({});
/** Unknown fields are ignored, as the specification demands. */
const entity = z.object({ type: z.string(), id: z.string(), properties });
const evaluation = z.object({
  subject: entity,
  action: z.object({ name: z.string(), properties }),
  resource: entity,
  context: properties,
});
export type Evaluation = z.output<typeof evaluation>;

/** `deny_on_first_deny` stops after the first `false`, `permit_on_first_permit` after the first `true`. */
const SEMANTICS = ['execute_all', 'deny_on_first_deny', 'permit_on_first_permit'] as const;
export type Semantic = (typeof SEMANTICS)[number];

export interface Evaluations {
  readonly semantic: Semantic;
  /** In the order of the request; a text says what is wrong with one. */
  readonly items: readonly (Evaluation | string)[];
}

/** For one document; more would keep others waiting. */
const MAX_EVALUATIONS = 1000;
/** Deeper values are refused before anything walks them. */
const MAX_DEPTH = 64;

/** Throws a {@link BadRequest}. */
export function readDocument(body: Buffer): JsonObject {
  let document: unknown;
  try {
    document = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(body));
  } catch {
    throw new BadRequest('the body is not JSON in UTF-8');
  }
  if (!isObject(document)) throw new BadRequest('the body must be a JSON object');
  if (isDeeper(document, MAX_DEPTH)) throw new BadRequest(`values are nested deeper than ${MAX_DEPTH} levels`);
  return document;
}

/** Throws a {@link BadRequest}. */
export function readEvaluation(document: JsonObject): Evaluation {
  const read = parsed(document);
  if (typeof read === 'string') throw new BadRequest(read);
  return read;
}

/** `undefined` for a document without evaluations, which is a single one. Throws a {@link BadRequest}. */
export function readEvaluations(document: JsonObject): Evaluations | undefined {
  const { evaluations, options } = document;
  if (evaluations === undefined || (Array.isArray(evaluations) && evaluations.length === 0)) return undefined;
  if (!Array.isArray(evaluations)) throw new BadRequest('evaluations must be an array');
  if (evaluations.length > MAX_EVALUATIONS)
    throw new BadRequest(`evaluations has ${evaluations.length} items; at most ${MAX_EVALUATIONS} are answered`);
  const asked = isObject(options) ? (options['evaluations_semantic'] ?? 'execute_all') : 'execute_all';
  const semantic = SEMANTICS.find((known) => known === asked);
  if (semantic === undefined) throw new BadRequest(`evaluations_semantic must be one of ${SEMANTICS.join(', ')}`);
  return {
    semantic,
    items: evaluations.map((item: unknown) =>
      isObject(item) ? parsed(withDefaults(item, document)) : 'an evaluation must be an object',
    ),
  };
}

const REQUIRED = { subject: ['type', 'id'], action: ['name'], resource: ['type', 'id'] } as const;

/** A part of an item replaces the document's, but for required fields that it lacks. */
function withDefaults(item: JsonObject, document: JsonObject): JsonObject {
  const whole: Record<string, unknown> = { context: item['context'] ?? document['context'] };
  for (const [part, names] of Object.entries(REQUIRED)) {
    const [own, common] = [item[part], document[part]];
    whole[part] =
      isObject(own) && isObject(common)
        ? { ...Object.fromEntries(names.map((name) => [name, common[name]])), ...own }
        : (own ?? common);
  }
  return whole;
}

function parsed(document: JsonObject): Evaluation | string {
  const read = evaluation.safeParse(document);
  return read.success
    ? read.data
    : read.error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`).join('; ');
}

function isDeeper(value: unknown, depth: number): boolean {
  if (typeof value !== 'object' || value === null) return false;
  return depth === 0 || Object.values(value).some((inner) => isDeeper(inner, depth - 1));
}
