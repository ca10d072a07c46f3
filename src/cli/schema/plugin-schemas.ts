/**
 * **In**: the adapters of a policy. **Out**: JSON Schemas of their configs and params, from their zod schemas.
 * **Fails**: never; a schema that JSON Schema cannot express accepts anything.
 */
import { z } from 'zod';
import { type Adapter, type Capability, CAPABILITIES } from '../../adapters/contract.ts';
import { isAccepted } from '../../yaml/schema-findings.ts';
import { ifIs, ref, type Schema } from './json-schema.ts';

/** A value of a config that is read from elsewhere; it becomes text. */
const REFERENCE: Schema = {
  description: 'Text from an environment variable, or from a file beside the policy.',
  type: 'object',
  properties: { $env: { type: 'string' }, $file: { type: 'string' } },
  minProperties: 1,
  maxProperties: 1,
  additionalProperties: false,
};

export interface PluginSchemas {
  readonly defs: Readonly<Record<string, Schema>>;
  /** For a handler: the config that its adapter takes. */
  readonly handler: readonly Schema[];
  /** For the `params` of an action; any of those that adapters with this capability take. */
  params(capability: Capability): Schema;
}

/** `isComplete`: no other adapter can be named. */
export function pluginSchemas(adapters: readonly Adapter[], isComplete: boolean): PluginSchemas {
  const defs: Record<string, Schema> = { reference: REFERENCE };
  const params = new Map<Capability, Schema[]>(CAPABILITIES.map((capability) => [capability, []]));
  const handler = adapters.map((adapter) => {
    const name = `config-${adapter.name}`;
    defs[name] = withReferences(schemaOf(adapter.config, name));
    for (const capability of CAPABILITIES) {
      const schema = adapter.serves[capability]?.params;
      if (schema === undefined) continue;
      const paramsName = `${capability}-params-${adapter.name}`;
      defs[paramsName] = schemaOf(schema, paramsName);
      params.get(capability)?.push(ref(paramsName));
    }
    const needsConfig = isAccepted(adapter.config, {}) ? {} : { required: ['config'] };
    return ifIs('adapter', adapter.name, { properties: { config: ref(name) }, ...needsConfig });
  });
  return {
    defs,
    handler,
    params: (capability) => {
      const known = params.get(capability) ?? [];
      if (!isComplete) return { anyOf: [...known, { type: 'object' }] };
      return known.length === 0 ? { not: {} } : { anyOf: known };
    },
  };
}

function schemaOf(schema: z.ZodType, name: string): Schema {
  const { $schema: _draft, ...written } = converted(schema);
  return movedTo(name, written) as Schema;
}

/** A plugin's schema may use parts that zod cannot convert. */
function converted(schema: z.ZodType): Schema {
  try {
    return z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' }) as Schema;
  } catch {
    return {};
  }
}

/** The schema as a definition: references to its root become references to the definition. */
function movedTo(name: string, part: unknown): unknown {
  if (Array.isArray(part)) return part.map((item) => movedTo(name, item));
  if (typeof part !== 'object' || part === null) return part;
  return Object.fromEntries(
    Object.entries(part).map(([key, value]) =>
      key === '$ref' && typeof value === 'string'
        ? [key, value.replace(/^#/, `#/$defs/${name}`)]
        : [key, movedTo(name, value)],
    ),
  );
}

const LISTS_OF_SCHEMAS = ['anyOf', 'oneOf', 'allOf'] as const;

/** Wherever the schema takes text, a reference may stand instead. */
function withReferences(schema: Schema): Schema {
  const inside = Object.fromEntries(
    Object.entries(schema).map(([key, value]) => {
      if (key === 'properties' || key === '$defs')
        return [
          key,
          Object.fromEntries(
            Object.entries(value as Schema).map(([name, one]) => [name, withReferences(one as Schema)]),
          ),
        ];
      if (key === 'items' || key === 'additionalProperties')
        return [key, typeof value === 'object' ? withReferences(value as Schema) : value];
      return [key, LISTS_OF_SCHEMAS.some((list) => list === key) ? (value as Schema[]).map(withReferences) : value];
    }),
  );
  if (!takesText(schema)) return inside;
  const { description, default: byDefault, examples, ...rest } = inside;
  const shown = Object.entries({ description, default: byDefault, examples }).filter(
    ([, value]) => value !== undefined,
  );
  return { ...Object.fromEntries(shown), anyOf: [rest, ref('reference')] };
}

function takesText(schema: Schema): boolean {
  const { type, const: only, enum: words } = schema;
  return (
    type === 'string' ||
    typeof only === 'string' ||
    (Array.isArray(words) && words.some((word) => typeof word === 'string')) ||
    LISTS_OF_SCHEMAS.some((list) => (schema[list] as readonly Schema[] | undefined)?.some(takesText) === true)
  );
}
