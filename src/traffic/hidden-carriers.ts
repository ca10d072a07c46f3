/**
 * Carriers of a policy's own attributes that are secret or masked: what they carry is hidden in a recorded call, whatever its name.
 * **In**: a policy. **Out**: parts of a recorded request, with these values replaced. **Fails**: never.
 */
import { HIDDEN } from '../attributes/secrets.ts';
import { MASKED } from '../attributes/redacted-request.ts';
import type { Policy } from '../core/rules/policy.ts';
import type { RecordedCarried } from './format.ts';

type ByName<T> = Readonly<Record<string, T>>;

export class HiddenCarriers {
  /** Replacements by name in lower case. Secret headers are hidden by {@link RedactedRequest} already. */
  readonly #headers = new Map<string, string>();
  readonly #extensions = new Map<string, string>();
  readonly #metadata: { readonly path: readonly string[]; readonly by: string }[] = [];

  constructor({ attributes, decisions: { masks } }: Policy) {
    for (const name of attributes.names()) {
      const { secret, source } = attributes.at(attributes.slotOf(name) ?? 0);
      const by = secret ? HIDDEN : masks.get(name) === 'all' ? MASKED : undefined;
      if (by === undefined) continue;
      if (source.kind === 'built-in' && source.extension === true) this.#extensions.set(name, by);
      if (source.kind !== 'from') continue;
      for (const carrier of source.carriers) {
        if (carrier.kind === 'header') this.#headers.set(carrier.name.toLowerCase(), by);
        if (carrier.kind === 'contextExtension') this.#extensions.set(carrier.name, by);
        if (carrier.kind === 'metadata') this.#metadata.push({ path: [carrier.namespace, ...carrier.path], by });
      }
    }
    for (const headers of HEADERS) {
      const masked = masks.get(headers);
      if (masked !== undefined && masked !== 'all') for (const name of masked) this.#headers.set(name, MASKED);
    }
    const metadata = masks.get('metadata');
    if (metadata === 'all') this.#metadata.push({ path: [], by: MASKED });
    else for (const namespace of metadata ?? []) this.#metadata.push({ path: [namespace], by: MASKED });
  }

  /** Changes the attributes: a mask of one of them hides the header in both. */
  inHeaders(attributes: Record<string, unknown>): void {
    if (this.#headers.size === 0) return;
    for (const name of HEADERS) {
      const headers = attributes[name];
      if (typeof headers !== 'object' || headers === null) continue;
      attributes[name] = Object.fromEntries(
        Object.entries(headers).map(([header, value]: [string, unknown]) => {
          const by = this.#headers.get(header);
          return [header, by === undefined ? value : Array.isArray(value) ? [by] : by];
        }),
      );
    }
  }

  inCarried({ contextExtension, metadata }: RecordedCarried): RecordedCarried {
    const shown = this.#metadata.reduce<unknown>((json, { path, by }) => replacedAt(json, path, by), metadata);
    return {
      ...(contextExtension === undefined
        ? {}
        : {
            contextExtension: Object.fromEntries(
              Object.entries(contextExtension).map(([name, value]) => [name, this.#extensions.get(name) ?? value]),
            ),
          }),
      ...(typeof shown === 'object' && shown !== null ? { metadata: shown as ByName<unknown> } : {}),
    };
  }
}

const HEADERS = ['request.headers', 'request.header_values'];

function replacedAt(json: unknown, [name, ...rest]: readonly string[], by: string): unknown {
  if (json === undefined) return undefined;
  if (name === undefined) return by;
  if (typeof json !== 'object' || json === null || !Object.hasOwn(json, name)) return json;
  return { ...json, [name]: replacedAt((json as ByName<unknown>)[name], rest, by) };
}

const known = new WeakMap<Policy, HiddenCarriers>();

export function hiddenCarriersOf(policy: Policy): HiddenCarriers {
  let hidden = known.get(policy);
  if (hidden === undefined) known.set(policy, (hidden = new HiddenCarriers(policy)));
  return hidden;
}
