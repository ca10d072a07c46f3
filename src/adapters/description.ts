/** Validates the description of an adapter. */
import { z } from 'zod';
import { type Adapter, type Algorithm, type Capability, CAPABILITIES } from './contract.ts';
import { AdapterError } from './errors.ts';
import { meant, nearest } from '../text/nearest.ts';
import { shapeProblems } from './shape-problems.ts';

const NAME = /^[a-z][a-z0-9]*(-[a-z0-9]+)*$/;
/** Also the order of the numbers of `Algorithm` in sluice.plugin.v1, from 1; append only. */
export const ALGORITHMS: readonly Algorithm[] = ['fixed', 'gcra', 'sliding', 'log', 'concurrency'];

const ADAPTER_KEYS = ['name', 'summary', 'config', 'serves', 'selfContained', 'metrics', 'open'];
const SERVES_KEYS: Readonly<Record<Capability, readonly string[]>> = {
  check: ['params', 'input', 'defaults', 'output'],
  quota: ['params', 'algorithms'],
  report: ['params', 'input', 'batch', 'counts'],
  enrich: ['params', 'input', 'defaults', 'output'],
};

/**
 * Keys that resemble one of the contract, with it. Others are the author's own, or of a later version of the contract, and do no harm;
 * a misspelt one would be ignored without a word.
 */
function misspelt(value: unknown, known: readonly string[]): string[] {
  if (typeof value !== 'object' || value === null) return [];
  const absent = known.filter((key) => !(key in value));
  return Object.keys(value).flatMap((key) => {
    const near = known.includes(key) ? undefined : nearest(key, absent);
    return near === undefined ? [] : [`${key}, which the contract does not have; did you mean ${near}?`];
  });
}

interface JsonSchema {
  readonly description?: string;
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly additionalProperties?: boolean | JsonSchema;
  readonly items?: JsonSchema;
  readonly prefixItems?: readonly JsonSchema[];
  readonly anyOf?: readonly JsonSchema[];
  readonly oneOf?: readonly JsonSchema[];
  readonly allOf?: readonly JsonSchema[];
  readonly $defs?: Readonly<Record<string, JsonSchema>>;
}

/** Whether a handler with this config needs nothing outside the process. */
export const isSelfContained = ({ selfContained }: Adapter, config: unknown): boolean =>
  typeof selfContained === 'function' ? selfContained(config as never) : selfContained;

/** All problems of the description. */
export function descriptionProblems(adapter: Adapter): AdapterError[] {
  const name = typeof adapter.name === 'string' ? adapter.name : '';
  const problems: AdapterError[] = [];
  if (!NAME.test(name)) {
    problems.push(
      new AdapterError('ADAPTER_BAD_NAME', `adapter "${name}": the name is not in kebab-case, as in quota-redis`),
    );
  }
  if (typeof adapter.summary !== 'string' || adapter.summary.trim() === '') {
    problems.push(
      new AdapterError(
        'ADAPTER_NO_SUMMARY',
        `adapter ${name}: the summary is missing; say in one sentence what it does`,
      ),
    );
  }
  problems.push(...servesProblems(name, adapter.serves), ...schemaProblems(name, 'config', adapter.config));
  for (const capability of CAPABILITIES) {
    const params = adapter.serves?.[capability]?.params;
    if (params !== undefined) problems.push(...schemaProblems(name, `params of ${capability}`, params));
  }
  for (const typo of misspelt(adapter, ADAPTER_KEYS))
    problems.push(new AdapterError('PLUGIN_WRONG_SHAPE', `adapter ${name}: it has a key ${typo}`));
  return problems;
}

function servesProblems(name: string, serves: Adapter['serves'] | undefined): AdapterError[] {
  const bad = (what: string): AdapterError => new AdapterError('ADAPTER_BAD_SERVES', `adapter ${name}: ${what}`);
  const served = Object.entries(serves ?? {}).filter(([, value]) => value !== undefined);
  if (served.length === 0) return [bad(`serves is empty; expected at least one of ${CAPABILITIES.join(', ')}`)];
  const problems = served
    .filter(([capability]) => !CAPABILITIES.includes(capability as Capability))
    .map(([capability]) => bad(`it serves "${capability}"; expected ${CAPABILITIES.join(', ')}`));
  for (const capability of CAPABILITIES)
    for (const typo of misspelt(serves?.[capability], SERVES_KEYS[capability]))
      problems.push(bad(`${capability} has a key ${typo}`));
  for (const capability of ['check', 'report', 'enrich'] as const) {
    const declared = serves?.[capability];
    if (declared === undefined) continue;
    problems.push(...shapeProblems(`the input of ${capability}`, declared.input).map(bad));
    if ('defaults' in declared)
      problems.push(...defaultsProblems(capability, declared.input, declared.defaults).map(bad));
    if ('output' in declared && declared.output !== undefined)
      problems.push(...shapeProblems(`the output of ${capability}`, declared.output).map(bad));
    if (capability === 'enrich' && !('output' in declared)) problems.push(bad('the output of enrich is missing'));
  }
  const algorithms = serves?.quota?.algorithms;
  if (
    serves?.quota !== undefined &&
    (algorithms === undefined || algorithms.length === 0 || algorithms.some((one) => !ALGORITHMS.includes(one)))
  ) {
    problems.push(
      bad(`the algorithms of quota are ${JSON.stringify(algorithms)}; expected some of ${ALGORITHMS.join(', ')}`),
    );
  }
  return problems;
}

/** A default that no rule could use is the author's mistake, not the policy's. Functions are checked when a rule uses them. */
function defaultsProblems(capability: string, input: unknown, defaults: unknown): string[] {
  if (typeof input !== 'object' || input === null || typeof defaults !== 'object' || defaults === null) return [];
  return Object.keys(defaults)
    .filter((name) => !Object.hasOwn(input, name))
    .map((name) => `the defaults of ${capability} have ${name}, which is no input${meant(name, Object.keys(input))}`);
}

function schemaProblems(name: string, what: string, schema: unknown): AdapterError[] {
  if (!(schema instanceof z.ZodType)) {
    return [
      new AdapterError(
        'ADAPTER_NOT_STRICT',
        `adapter ${name}: its ${what} is not a zod 4 schema; expected z.strictObject({ ... })`,
      ),
    ];
  }
  const json = z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any', cycles: 'ref' }) as JsonSchema;
  const problems: AdapterError[] = [];
  const visit = (node: JsonSchema, path: string): void => {
    for (const [field, value] of Object.entries(node.properties ?? {})) {
      const at = path === '' ? field : `${path}.${field}`;
      if (!isDescribed(value)) {
        problems.push(
          new AdapterError(
            'ADAPTER_FIELD_UNDESCRIBED',
            `adapter ${name}: ${what}: "${at}" has no description; add .describe('...')`,
          ),
        );
      }
      visit(value, at);
    }
    if (node.properties !== undefined && node.additionalProperties === undefined) {
      problems.push(
        new AdapterError(
          'ADAPTER_NOT_STRICT',
          `adapter ${name}: ${what}${path === '' ? '' : `: "${path}"`} accepts unknown keys; use z.strictObject`,
        ),
      );
    }
    if (typeof node.additionalProperties === 'object') visit(node.additionalProperties, `${path}.*`);
    if (node.items !== undefined) visit(node.items, `${path}[]`);
    for (const part of [
      ...(node.prefixItems ?? []),
      ...(node.anyOf ?? []),
      ...(node.oneOf ?? []),
      ...(node.allOf ?? []),
    ])
      visit(part, path);
    for (const [key, part] of Object.entries(node.$defs ?? {})) visit(part, key);
  };
  visit(json, '');
  return problems;
}

/** The tag of a discriminated union needs no description. */
function isDescribed(node: JsonSchema): boolean {
  return (node.description ?? '').trim() !== '' || 'const' in node || '$ref' in node;
}
