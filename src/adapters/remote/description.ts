/**
 * Adapters as they describe themselves to another process.
 * **In**: adapters, or a description. **Out**: a description, or adapters that run behind an address only.
 * **Fails**: with an {@link AdapterError} that says what is wrong with the description.
 */
import { create, fromJson, type JsonObject, type JsonValue, toJson } from '@bufbuild/protobuf';
import { z } from 'zod';
import {
  type Adapter,
  CAPABILITIES,
  type InputDefaults,
  type Serves,
  type Shape,
  type ShapeSpec,
  type ShapeType,
} from '../contract.ts';
import { CONTRACT, CONTRACT_VERSION } from '../contract/version.ts';
import { descriptionProblems } from '../description.ts';
import { AdapterError } from '../errors.ts';
import { messageOf } from '../../text/message-of.ts';
import {
  type Adapter as AdapterDescription,
  type Algorithm as AlgorithmNumber,
  AdapterSchema,
  BatchDefaultsSchema,
  CheckSchema,
  type DescribeResponse,
  DescribeResponseSchema,
  EnrichSchema,
  type Field,
  FieldSchema,
  type Input,
  InputSchema,
  QuotaSchema,
  ReportSchema,
  type Shape as ShapeDescription,
  ShapeSchema,
  type Type,
} from '../../../gen/sluice/plugin/v1/plugin_pb.ts';
import { ALGORITHMS } from '../description.ts';
import { SHAPE_TYPES } from '../shape-problems.ts';

// ---------------------------------------------------------------- from adapters

/** `software`: name and version of the program, for operators. */
export const describe = (adapters: readonly Adapter[], software: string): DescribeResponse =>
  create(DescribeResponseSchema, { contract: CONTRACT_VERSION, software, adapters: adapters.map(descriptionOf) });

function descriptionOf({ name, summary, config, serves }: Adapter): AdapterDescription {
  const description = create(AdapterSchema, { name, summary, configSchema: schemaText(config) });
  const { check, quota, report, enrich } = serves;
  if (check !== undefined) {
    description.check = create(CheckSchema, { paramsSchema: paramsText(check), input: inputOf(check.input) });
    if (check.output !== undefined) description.check.output = shapeOf(check.output);
    description.check.defaults = fixedDefaults(check);
  }
  if (quota !== undefined) {
    const algorithms = quota.algorithms.map((one) => (ALGORITHMS.indexOf(one) + 1) as number as AlgorithmNumber);
    description.quota = create(QuotaSchema, { paramsSchema: paramsText(quota), algorithms });
  }
  if (report !== undefined) {
    description.report = create(ReportSchema, { paramsSchema: paramsText(report), input: inputOf(report.input) });
    if (report.batch !== undefined) description.report.batch = create(BatchDefaultsSchema, report.batch);
  }
  if (enrich !== undefined) {
    description.enrich = create(EnrichSchema, { paramsSchema: paramsText(enrich), input: inputOf(enrich.input) });
    if (typeof enrich.output === 'function') description.enrich.outputDependsOnConfig = true;
    else description.enrich.output = shapeOf(enrich.output);
    description.enrich.defaults = fixedDefaults(enrich);
  }
  return description;
}

/** Without refinements and transforms, which only the adapter's own process can do. */
export const schemaText = (schema: z.ZodType): string =>
  JSON.stringify(z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any', cycles: 'ref' }));

/** Those that depend on the config come with a shape that does, for which the host loads the adapter's module. */
const fixedDefaults = ({ defaults }: { readonly defaults?: InputDefaults }): Record<string, string> =>
  typeof defaults === 'function' ? {} : { ...defaults };

const paramsText = ({ params }: { readonly params?: z.ZodType }): string =>
  params === undefined ? '' : schemaText(params);

function inputOf(spec: ShapeSpec<never, never>): Input {
  if (spec === 'any') return create(InputSchema, { kind: { case: 'any', value: true } });
  if (typeof spec === 'function') return create(InputSchema, { kind: { case: 'dependsOnConfig', value: true } });
  return create(InputSchema, { kind: { case: 'shape', value: shapeOf(spec) } });
}

const shapeOf = (shape: Shape): ShapeDescription =>
  create(ShapeSchema, {
    fields: Object.entries(shape).map(([name, type]) =>
      create(FieldSchema, {
        name,
        type: (SHAPE_TYPES.indexOf(type.replace(/\?$/, '') as ShapeType) + 1) as Type,
        optional: type.endsWith('?'),
      }),
    ),
  });

// ---------------------------------------------------------------- as a file

const SCHEMAS = ['configSchema', 'paramsSchema'];

/** For a file that a policy names in `plugins:`. Schemas are part of the JSON, not texts in it. */
export const descriptionText = (described: DescribeResponse): string =>
  `${JSON.stringify(
    mapSchemas(toJson(DescribeResponseSchema, described), (text) => JSON.parse(text as string) as JsonValue),
    undefined,
    2,
  )}\n`;

export function readDescription(text: string): DescribeResponse {
  try {
    const json = mapSchemas(JSON.parse(text) as JsonValue, (schema) => JSON.stringify(schema));
    return fromJson(DescribeResponseSchema, json, { ignoreUnknownFields: true });
  } catch (error) {
    throw bad(`it is no description of a plugin: ${messageOf(error)}`);
  }
}

function mapSchemas(json: JsonValue, map: (schema: JsonValue) => JsonValue): JsonValue {
  if (Array.isArray(json)) return json.map((item) => mapSchemas(item, map));
  if (typeof json !== 'object' || json === null) return json;
  return Object.fromEntries(
    Object.entries(json).map(([key, value]) => [key, SCHEMAS.includes(key) ? map(value) : mapSchemas(value, map)]),
  ) as JsonObject;
}

// ---------------------------------------------------------------- to adapters

const bad = (why: string): AdapterError => new AdapterError('PLUGIN_BAD_DESCRIPTION', why);

/** Why a plugin cannot run a handler of this adapter; `undefined` if it can. What it offers beyond is no reason. */
export function disagreement(adapter: Adapter, { contract, software, adapters }: DescribeResponse): string | undefined {
  try {
    checkVersion(contract, software);
  } catch (error) {
    return messageOf(error);
  }
  const there = adapters.find(({ name }) => name === adapter.name);
  if (there === undefined)
    return `it has no adapter ${adapter.name}, but ${adapters.map(({ name }) => name).join(', ')}`;
  const here = descriptionOf(adapter);
  const release = 'run the same release on both sides, or describe the plugin anew';
  for (const capability of CAPABILITIES) {
    if (here[capability] === undefined) continue;
    if (there[capability] === undefined)
      return `its adapter ${adapter.name} does not serve ${capability}, which it serves here; ${release}`;
    const missing = here.quota?.algorithms.find((one) => !there.quota?.algorithms.includes(one));
    if (capability === 'quota' && missing !== undefined)
      return `its adapter ${adapter.name} does not count by ${ALGORITHMS[missing - 1]}, by which it counts here; ${release}`;
    const [passed, taken] = [here[capability], there[capability]].map((one) => fieldsOf(one));
    for (const { name, type, optional } of taken ?? []) {
      const field = passed?.find((one) => one.name === name);
      if (passed !== undefined && (field === undefined ? !optional : field.type !== type))
        return `its adapter ${adapter.name} takes ${name} as ${nameOfType(type)} for ${capability}, and here it is ${field === undefined ? 'unknown' : nameOfType(field.type)}; ${release}`;
      if (field?.optional === true && !optional)
        return `its adapter ${adapter.name} needs ${name} for ${capability}, and here it may be absent; ${release}`;
    }
    for (const { name, type } of outputsOf(here[capability])) {
      const field = outputsOf(there[capability]).find((one) => one.name === name);
      if (field?.type !== type && !isComputed(there[capability]))
        return (
          `its adapter ${adapter.name} answers ${capability} ` +
          (field === undefined ? `without ${name}` : `with ${name} as ${nameOfType(field.type)}`) +
          `, and here it is ${nameOfType(type)}; ${release}`
        );
    }
  }
  return undefined;
}

/** Outputs of a check that a newer plugin has beyond the adapter; no rule can read them. */
export function outputsBeyond(adapter: Adapter, { adapters }: DescribeResponse): readonly string[] {
  const own = adapter.serves.check?.output ?? {};
  const there = adapters.find(({ name }) => name === adapter.name)?.check;
  return there === undefined ? [] : outputsOf(there).flatMap(({ name }) => (name in own ? [] : [name]));
}

/** Names and types of the input, if they are fixed. */
const fieldsOf = (served: object): readonly Field[] | undefined =>
  'input' in served && (served.input as Input | undefined)?.kind.case === 'shape'
    ? ((served.input as Input).kind.value as ShapeDescription).fields
    : undefined;
/** Names and types of the output, if they are fixed. */
const outputsOf = (served: object): readonly Field[] =>
  (served as { readonly output?: ShapeDescription }).output?.fields ?? [];
const isComputed = (served: object): boolean =>
  'outputDependsOnConfig' in served && served.outputDependsOnConfig === true;
const nameOfType = (type: Type): string => SHAPE_TYPES[type - 1] ?? `type ${type}`;

/** Adapters that can only run behind an address. Throws if the plugin speaks another version of the contract. */
export function describedAdapters({ contract, software, adapters }: DescribeResponse): Adapter[] {
  checkVersion(contract, software);
  if (adapters.length === 0) throw bad('it describes no adapter');
  return adapters.map(describedAdapter);
}

export function checkVersion(contract: number, software: string): void {
  if (contract === CONTRACT_VERSION) return;
  const who = software === '' ? 'it' : software;
  throw new AdapterError(
    'PLUGIN_CONTRACT_VERSION',
    contract === 0
      ? `${who} does not say which version of the plugin contract it speaks; this Sluice speaks ${CONTRACT_VERSION}`
      : `${who} speaks version ${contract} of the plugin contract, and this Sluice speaks ${CONTRACT_VERSION}; ${contract > CONTRACT_VERSION ? 'update Sluice, or run an older release of the plugin' : 'run a newer release of the plugin'}`,
  );
}

/** One that can only run behind an address. */
export function describedAdapter(described: AdapterDescription): Adapter {
  const { name, summary, configSchema, check, quota, report, enrich } = described;
  const schema = (text: string, what: string): z.ZodType => schemaOf(text, `adapter ${name}: ${what}`);
  const served = <T extends { readonly paramsSchema: string }, S>(
    capability: keyof Serves,
    declared: T | undefined,
    made: (declared: T) => S,
  ): object =>
    declared === undefined
      ? {}
      : {
          [capability]: {
            ...(declared.paramsSchema === ''
              ? {}
              : { params: schema(declared.paramsSchema, `params of ${capability}`) }),
            ...made(declared),
          },
        };
  const input = (capability: string, declared: Input | undefined): ShapeSpec<never, never> =>
    specOf(declared, `adapter ${name}: the input of ${capability}`);
  const serves = {
    ...served('check', check, (one) => ({
      input: input('check', one.input),
      defaults: one.defaults,
      ...(one.output === undefined ? {} : { output: shapeFrom(one.output) }),
    })),
    ...served('quota', quota, (one) => ({ algorithms: one.algorithms.map((number) => ALGORITHMS[number - 1]) })),
    ...served('report', report, (one) => ({ input: input('report', one.input), batch: batchOf(one.batch) })),
    ...served('enrich', enrich, (one) => {
      if (one.outputDependsOnConfig) throw needsModule(`adapter ${name}: the output of enrich`);
      return {
        input: input('enrich', one.input),
        defaults: one.defaults,
        output: one.output === undefined ? undefined : shapeFrom(one.output),
      };
    }),
  } as Serves;
  const adapter: Adapter = {
    name,
    summary,
    config: schema(configSchema, 'config'),
    serves,
    selfContained: false,
    open: () =>
      Promise.reject(new Error(`it runs in a process of its own; say where: run: { dial: "unix:/run/${name}.sock" }`)),
  };
  const [first] = descriptionProblems(adapter);
  if (first !== undefined) throw bad(first.message);
  return Object.freeze(Object.assign(adapter, { [CONTRACT]: CONTRACT_VERSION }));
}

/** Only these members, since the library's have others. */
const batchOf = (batch: object = {}): object =>
  Object.fromEntries(Object.entries(batch).filter(([key]) => ['max', 'maxAgeMs', 'maxBytes'].includes(key)));

function schemaOf(text: string, what: string): z.ZodType {
  if (text === '') return z.strictObject({});
  try {
    return z.fromJSONSchema(JSON.parse(text) as Parameters<typeof z.fromJSONSchema>[0]);
  } catch (error) {
    throw bad(`${what}: its JSON Schema cannot be used: ${messageOf(error)}`);
  }
}

function specOf(declared: Input | undefined, what: string): ShapeSpec<never, never> {
  switch (declared?.kind.case) {
    case 'any':
      return 'any';
    case 'shape':
      return shapeFrom(declared.kind.value);
    case 'dependsOnConfig':
      throw needsModule(what);
    case undefined:
      throw bad(`${what} is missing; set a shape, or any`);
  }
}

const needsModule = (what: string): AdapterError =>
  bad(`${what} is computed from the config by the adapter's module; name the module in plugins as well`);

const shapeFrom = ({ fields }: ShapeDescription): Shape =>
  Object.fromEntries(
    fields.map(({ name, type, optional }) => {
      const word = SHAPE_TYPES[type - 1] ?? (`type ${type}` as 'any'); // reported with the other problems
      return [name, optional ? (`${word}?` as const) : word];
    }),
  );
