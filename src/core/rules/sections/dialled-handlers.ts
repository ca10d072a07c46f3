/**
 * Handlers with `run: { dial: ADDRESS }`: their adapters, before the handlers are read.
 * **In**: the sections of handlers, the adapters of the policy. **Out**: by the handler's node its adapter, or `undefined` if there is
 * none.
 * **Fails**: with a finding at the address.
 */
import type { Adapter } from '../../../adapters/contract.ts';
import { dialledAdapters, type DialledName, type Registry } from '../../../adapters/registry.ts';
import { Findings } from '../../../yaml/findings.ts';
import type { Node, Place } from '../../../yaml/nodes.ts';
import { fieldsOf } from '../../../yaml/fields.ts';
import { runOf } from './run-key.ts';

export type DialledHandlers = ReadonlyMap<Node, Adapter | undefined>;

/** `someAreMissing`: a plugin of the policy could not be loaded, so an unknown adapter may be one of its. */
export async function dialledHandlers(
  sections: readonly Node[],
  registry: Registry,
  someAreMissing: boolean,
  findings: Findings,
): Promise<DialledHandlers> {
  const dials = sections.flatMap((section) =>
    section.kind === 'map'
      ? [...section.entries.values()].flatMap(({ value }) => dialOf(value, registry, someAreMissing) ?? [])
      : [],
  );
  if (dials.length === 0) return new Map();
  const adapters = await dialledAdapters(dials);
  return new Map(
    dials.map(({ node, place }, at): [Node, Adapter | undefined] => {
      const dialled = adapters[at];
      if (dialled === undefined || 'adapter' in dialled) return [node, dialled?.adapter];
      findings.add('error', dialled.error.code, place, dialled.error.message);
      return [node, undefined];
    }),
  );
}

/** `undefined` for a handler that is not dialled, or whose error is reported when it is read. */
function dialOf(
  node: Node,
  registry: Registry,
  someAreMissing: boolean,
): (DialledName & { readonly node: Node; readonly place: Place }) | undefined {
  const unreported = new Findings();
  const fields = fieldsOf(node, 'a handler', unreported);
  const name = fields?.text('adapter');
  if (fields === undefined || name === undefined) return undefined;
  const run = runOf(fields, undefined, unreported);
  const here = registry.get(name);
  if (run.kind !== 'dial' || unreported.hasErrors) return undefined;
  if (here === undefined && (someAreMissing || registry.whyBroken(name) !== undefined)) return undefined;
  return { node, place: fields.node('run')?.place ?? fields.place, name, here, target: run.target };
}
