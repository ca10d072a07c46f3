/** Checks manifests against the JSON Schemas of Kubernetes, and those of the Prometheus Operator's definitions. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ValidateFunction } from 'ajv';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { RE2JS } from 're2js';
import { parse } from 'yaml';
import { kubernetesSchemas, prometheusDefinitions } from '../../test/parts/fetch-deploy-tools.ts';
import type { Manifest } from './manifests.ts';

interface Definition {
  readonly spec: { readonly versions: readonly { readonly schema: { readonly openAPIV3Schema: object } }[] };
}

/** Patterns of definitions are Go's. */
const regExp = Object.assign(
  (pattern: string) => {
    const compiled = RE2JS.compile(pattern);
    return { test: (text: string) => compiled.matcher(text).find() };
  },
  { code: 'require("re2js")' },
);

/** Returns the errors of a manifest, one line each. */
export async function schemaChecker(version: string): Promise<(manifest: Manifest) => string[]> {
  const folder = await kubernetesSchemas(version);
  const readSchema = (name: string): object => JSON.parse(readFileSync(join(folder, name), 'utf8')) as object;
  const ajv = new Ajv2020({
    strict: false,
    validateFormats: false,
    allErrors: true,
    validateSchema: false,
    code: { regExp },
  });
  ajv.addSchema(readSchema('_definitions.json'), '_definitions.json');
  const compiled = new Map<string, ValidateFunction>();

  const validatorOf = ({ apiVersion, kind }: Manifest): ValidateFunction => {
    const key = `${apiVersion} ${kind}`;
    const known = compiled.get(key);
    if (known !== undefined) return known;
    const schema = apiVersion.startsWith('monitoring.coreos.com/') ? definitionOf(kind) : builtIn(apiVersion, kind);
    const validate = ajv.compile(schema);
    compiled.set(key, validate);
    return validate;
  };
  const builtIn = (apiVersion: string, kind: string): object => {
    const [group, apiVersionOnly] = apiVersion.includes('/') ? apiVersion.split('/') : [undefined, apiVersion];
    const parts = [kind.toLowerCase(), group?.split('.')[0], apiVersionOnly].filter((part) => part !== undefined);
    return readSchema(`${parts.join('-')}.json`);
  };
  return (manifest) => {
    const validate = validatorOf(manifest);
    const isValid: boolean = validate(manifest as unknown);
    if (isValid) return [];
    return (validate.errors ?? []).map(
      ({ instancePath, message, params }) =>
        `${manifest.kind} ${manifest.metadata.name} ${instancePath} ${message} ${JSON.stringify(params)}`,
    );
  };
}

export function readDefinition(kind: string): Definition {
  const file = join(prometheusDefinitions(), `monitoring.coreos.com_${kind.toLowerCase()}s.yaml`);
  return parse(readFileSync(file, 'utf8')) as Definition;
}

function definitionOf(kind: string): object {
  const schema = readDefinition(kind).spec.versions[0]?.schema.openAPIV3Schema;
  if (schema === undefined) throw new Error(`${kind} has no schema`);
  return closed(schema) as object;
}

/** Refuses unknown fields, as the API server does by fieldValidation=Strict. */
function closed(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(closed);
  if (typeof schema !== 'object' || schema === null) return schema;
  const all = Object.fromEntries(Object.entries(schema).map(([key, value]) => [key, closed(value)]));
  const isOpen =
    !('properties' in all) || 'additionalProperties' in all || 'x-kubernetes-preserve-unknown-fields' in all;
  return isOpen || typeof all['properties'] !== 'object' || typeof all['type'] !== 'string'
    ? all
    : { ...all, additionalProperties: false };
}
