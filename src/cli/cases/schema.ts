/**
 * The schema of `cases` (docs/rules.md#9-cases).
 * **In**: plain values of a YAML document. **Out**: typed cases. **Fails**: with every problem, each at a path of the document.
 */
import { z } from 'zod';
import { carriedSchema } from '../../attributes/plain-request.ts';
import { durationMs, DURATION_UNITS } from '../../time/duration.ts';
import { ifHas, listOf, ref, type Schema } from '../schema/json-schema.ts';
import { CALL_KINDS, type CallKind } from '../../attributes/carrier.ts';
import { VOCABULARY } from '../../attributes/vocabulary.ts';

const attributes = z.record(z.string(), z.unknown());
const texts = z.record(z.string(), z.union([z.string(), z.number(), z.boolean()]).transform(String));
const times = z.int().positive().max(10_000).optional();

const headerChanges = z.strictObject({
  set: texts.optional(),
  append: texts.optional(),
  remove: z.array(z.string()).optional(),
});
const queryChanges = headerChanges.omit({ append: true });
const shadow = z.array(z.string()).optional();
const ruleOrAny = z.union([z.string(), z.literal(true)]);

/** The expected result of a check; the first key of each row identifies the row. */
const CHECK_WANTS = {
  allow: z.strictObject({
    allow: z.literal(true),
    request: headerChanges.optional(),
    response: headerChanges.optional(),
    query: queryChanges.optional(),
    metadata: texts.optional(),
    shadow,
    times,
  }),
  deny: z.strictObject({
    deny: ruleOrAny,
    status: z.int().optional(),
    headers: texts.optional(),
    body: z.string().optional(),
    metadata: texts.optional(),
    shadow,
    times,
  }),
  failed: z.strictObject({ failed: ruleOrAny, status: z.int().optional(), shadow, times }),
  error: z.strictObject({ error: ruleOrAny, times }),
};

const numbers = { limit: z.number().optional(), remaining: z.number().optional(), reset: z.number().optional() };
const LIMIT_WANTS = {
  ok: z.strictObject({ ok: ruleOrAny, ...numbers, response: headerChanges.optional(), shadow, times }),
  over: z.strictObject({ over: ruleOrAny, ...numbers, response: headerChanges.optional(), shadow, times }),
  error: z.strictObject({ error: ruleOrAny, times }),
};

const reports = z.array(
  z.strictObject({ rule: z.string(), handler: z.string().optional(), input: attributes.optional() }),
);
const LOG_WANTS = {
  report: z.strictObject({ report: reports }),
  reports: z.strictObject({ reports }),
};

export type WantCheck = {
  [K in keyof typeof CHECK_WANTS]: z.output<(typeof CHECK_WANTS)[K]>;
}[keyof typeof CHECK_WANTS];
export type WantLimit = {
  [K in keyof typeof LIMIT_WANTS]: z.output<(typeof LIMIT_WANTS)[K]>;
}[keyof typeof LIMIT_WANTS];
export type WantLog = { [K in keyof typeof LOG_WANTS]: z.output<(typeof LOG_WANTS)[K]> }[keyof typeof LOG_WANTS];
export type Want = WantCheck | WantLimit | WantLog;

const WANTS: Readonly<Record<CallKind, Readonly<Record<string, z.ZodType>>>> = {
  http: CHECK_WANTS,
  tcp: CHECK_WANTS,
  authzen: CHECK_WANTS,
  limit: LIMIT_WANTS,
  log: LOG_WANTS,
  'tcp-log': LOG_WANTS,
  'log-interim': LOG_WANTS,
  'tcp-log-interim': LOG_WANTS,
  'otlp-log': LOG_WANTS,
  'envoy-metric': LOG_WANTS,
};

const DURATION_PATTERN = `^\\d+(\\.\\d+)?(${DURATION_UNITS.join('|')})$`;

/** The parts of a case other than its call and want. */
const frame = z.strictObject({
  name: z.string().min(1),
  description: z.string().optional(),
  given: z.record(z.string(), z.unknown()).default({}),
  carried: carriedSchema.optional(),
  times,
  every: z
    .string()
    .refine((text) => durationMs(text) !== undefined, 'expected a duration such as 500ms, 1s or 1m')
    .meta({ pattern: DURATION_PATTERN })
    .optional(),
});

export interface Case extends z.output<typeof frame> {
  readonly call: CallKind;
  /** One set of attributes; for `limit` one per descriptor. */
  readonly requests: readonly Readonly<Record<string, unknown>>[];
  /** In turn, each for its `times` calls. */
  readonly wants: readonly Want[];
}

export interface CaseProblem {
  readonly path: readonly (string | number)[];
  readonly message: string;
}
type Parsed =
  | { readonly case: Case; readonly problems: readonly [] }
  | { readonly case: undefined; readonly problems: readonly CaseProblem[] };

const failed = (path: readonly (string | number)[], message: string): Parsed => ({
  case: undefined,
  problems: [{ path, message }],
});

/** Reads one entry of `cases`. */
export function parseCase(raw: unknown): Parsed {
  if (typeof raw !== 'object' || raw === null || Array.isArray(raw))
    return failed([], `a case must be a map with name, a call (${CALL_KINDS.join(', ')}) and want`);
  const { want, ...rest } = raw as Record<string, unknown>;
  const kinds = CALL_KINDS.filter((kind) => kind in rest);
  const [call] = kinds;
  if (call === undefined || kinds.length > 1)
    return failed(
      [],
      `a case makes one call: expected one of ${CALL_KINDS.join(', ')}; found ${kinds.length === 0 ? 'none' : kinds.join(' and ')}`,
    );
  if (want === undefined) return failed([], 'want is missing; write the expected outcome of the call');

  const { [call]: request, ...others } = rest;
  const framed = frame.safeParse(others);
  const problems: CaseProblem[] = framed.success ? [] : issuesAt([], framed.error);
  const requests = z
    .array(attributes)
    .min(1)
    .safeParse(call === 'limit' && Array.isArray(request) ? request : [request]);
  if (!requests.success)
    problems.push({ path: [call], message: 'expected a map of attributes, such as { request.method: GET }' });

  const wants = Array.isArray(want) ? want : [want];
  const read = wants.map((one, index) =>
    parseWant(call, one, Array.isArray(want) ? ['want', index] : ['want'], problems),
  );
  if (problems.length > 0 || !framed.success || !requests.success) return { case: undefined, problems };
  return {
    case: { ...framed.data, call, requests: requests.data, wants: read.filter((one) => one !== undefined) },
    problems: [],
  };
}

/** The JSON Schema of one entry of `cases`, and of its parts, from the tables that {@link parseCase} reads. */
export function caseDefs(): Readonly<Record<string, Schema>> {
  const { properties, required, ...closed } = jsonSchemaOf(frame);
  const wants = new Map(Object.values(WANTS).map((rows) => [rows, `want-${Object.keys(rows).join('-')}`]));
  return {
    ...Object.fromEntries(
      [...wants].map(([rows, name]) => {
        const one = { anyOf: Object.values(rows).map(jsonSchemaOf) };
        return [name, { anyOf: [one, listOf(one)] }];
      }),
    ),
    request: {
      type: 'object',
      properties: Object.fromEntries(VOCABULARY.map(({ name, meaning }) => [name, { description: meaning }])),
    },
    case: {
      ...closed,
      properties: {
        ...(properties as Schema),
        ...Object.fromEntries(
          CALL_KINDS.map((call) => [
            call,
            call === 'limit' ? { anyOf: [ref('request'), { ...listOf(ref('request')), minItems: 1 }] } : ref('request'),
          ]),
        ),
        want: { description: 'The expected outcome; a list is for calls in turn, each for its times calls.' },
      },
      required: [...(required as readonly string[]), 'want'],
      oneOf: CALL_KINDS.map((call) => ({ required: [call] })),
      allOf: CALL_KINDS.map((call) => ifHas(call, { properties: { want: ref(wants.get(WANTS[call]) ?? '') } })),
    },
  };
}

function jsonSchemaOf(schema: z.ZodType): Schema {
  const { $schema: _draft, ...rest } = z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' });
  return rest;
}

function parseWant(
  call: CallKind,
  raw: unknown,
  path: readonly (string | number)[],
  problems: CaseProblem[],
): Want | undefined {
  const rows = WANTS[call];
  const key = typeof raw === 'object' && raw !== null ? Object.keys(rows).find((name) => name in raw) : undefined;
  const schema = key === undefined ? undefined : rows[key];
  if (schema === undefined) {
    problems.push({ path, message: `the want of a ${call} call must have one of ${Object.keys(rows).join(', ')}` });
    return undefined;
  }
  const parsed = schema.safeParse(raw);
  if (parsed.success) return parsed.data as Want;
  problems.push(...issuesAt(path, parsed.error));
  return undefined;
}

function issuesAt(path: readonly (string | number)[], error: z.ZodError): CaseProblem[] {
  return error.issues.map((issue) => ({
    path: [...path, ...issue.path.map((part) => (typeof part === 'symbol' ? String(part) : part))],
    message: issue.message,
  }));
}
