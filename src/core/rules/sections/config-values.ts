/**
 * `{ $env: NAME }` and `{ $file: PATH }` in a handler's config.
 * **In**: a config as written. **Out**: its values, and a version to show, with unresolved references.
 * **Fails**: with a finding at the reference.
 */
import { dirname, resolve } from 'node:path';
import type { SecretText } from '../../../text/secret-texts.ts';
import type { Adapter } from '../../../adapters/contract.ts';
import { systemReason } from '../../../text/system-reason.ts';
import type { Findings } from '../../../yaml/findings.ts';
import type { ListNode, Node, ScalarNode } from '../../../yaml/nodes.ts';
import { readValueFile } from '../../../yaml/text-files.ts';
import { isAccepted } from '../../../yaml/schema-findings.ts';

export type Environment = Readonly<Record<string, string | undefined>>;

export interface ValueSources {
  readonly env: Environment;
  readonly readText?: ((file: string) => string) | undefined;
  readonly unsetEnv?: 'error' | 'warning' | undefined;
}

interface Resolved {
  readonly value: unknown;
  /** As written: references stay references. */
  readonly shown: unknown;
  readonly failed: boolean;
  /** What references stand for. */
  readonly secrets: readonly SecretText[];
}

/** Those of a config, as it is gone through. */
interface References {
  readonly secrets: SecretText[];
  failed: boolean;
}

/** Stand-ins for a variable that is not set; the first that the adapter's schema accepts is used. */
const STAND_INS = ['unset', '127.0.0.1:1', 'http://127.0.0.1:1', 'redis://127.0.0.1:1', '1'];

/** In the manner of shells. */
const VARIABLE = /\$\{(?:env[:.])?([A-Z][A-Z0-9_]+)(?::-[^}]*)?\}/;

export class ConfigValues {
  /** Files that configs name. */
  readonly files: string[] = [];
  /** References that could not be resolved; errors of the schema at them are not reported. */
  readonly unresolved: Set<Node> = new Set();
  readonly #withStandIn = new Set<Node>();
  readonly #environment: Environment;
  readonly #readText: (file: string) => string;
  readonly #mayLackEnv: boolean;
  /** Replaces a variable that is not set, if that is only a warning. */
  #standIn: string | undefined;
  readonly #findings: Findings;

  constructor({ env, readText, unsetEnv }: ValueSources, findings: Findings) {
    this.#environment = env;
    this.#readText = readText ?? readValueFile;
    this.#mayLackEnv = unsetEnv === 'warning';
    this.#findings = findings;
  }

  #resolve(node: Node): Resolved {
    const references: References = { secrets: [], failed: false };
    const [value, shown] = this.#valueOf(node, references);
    return { value, shown, ...references };
  }

  /** The value, and the same object as shown if there is no reference in it: a config may have a hundred thousand values. */
  #valueOf(node: Node, references: References): readonly [value: unknown, shown: unknown] {
    if (node.kind === 'scalar') {
      this.#checkVariable(node);
      return [node.value, node.value];
    }
    if (node.kind === 'list') return this.#listOf(node, references);
    const [only] = node.entries.values();
    if (
      only !== undefined &&
      node.entries.size === 1 &&
      (only.key === '$env' || only.key === '$file') &&
      only.value.kind === 'scalar'
    ) {
      const name = String(only.value.value);
      const value = only.key === '$env' ? this.#fromEnvironment(name, only.value) : this.#fromFile(name, only.value);
      if (value === undefined) references.failed = true;
      else references.secrets.push({ text: value, shown: `{ ${only.key}: ${name} }` });
      return [value, { [only.key]: name }];
    }
    const values: [string, unknown][] = [];
    let asShown: [string, unknown][] | undefined;
    for (const { key, value: inside } of node.entries.values()) {
      const [value, shown] = this.#valueOf(inside, references);
      if (value !== shown) asShown ??= [...values];
      values.push([key, value]);
      asShown?.push([key, shown]);
    }
    const value = Object.fromEntries(values);
    return [value, asShown === undefined ? value : Object.fromEntries(asShown)];
  }

  #listOf({ items }: ListNode, references: References): readonly [value: unknown, shown: unknown] {
    const values: unknown[] = [];
    let asShown: unknown[] | undefined;
    for (const item of items) {
      const [value, shown] = this.#valueOf(item, references);
      if (value !== shown) asShown ??= [...values];
      values.push(value);
      asShown?.push(shown);
    }
    return [values, asShown ?? values];
  }

  /** A password may hold `$`, and hardly the name of a variable in braces. */
  #checkVariable({ value, place }: ScalarNode): void {
    const name = (typeof value === 'string' ? VARIABLE.exec(value) : null)?.[1];
    if (name !== undefined)
      this.#findings.add(
        'warning',
        'EXPRESSION_NOT_REPLACED',
        place,
        `\${${name}} is not replaced in a config; write { $env: ${name} } as the whole value`,
      );
  }

  resolvedFor(adapter: Adapter, node: Node): Resolved {
    for (const standIn of this.#mayLackEnv ? STAND_INS : []) {
      this.#standIn = standIn;
      const written = this.#resolve(node);
      if (isAccepted(adapter.config, written.value)) return written;
    }
    this.#standIn = undefined;
    return this.#resolve(node);
  }

  #fromEnvironment(name: string, node: Node): string | undefined {
    const value = this.#environment[name];
    if (value !== undefined) return value;
    if (this.#standIn !== undefined) {
      if (!this.#withStandIn.has(node))
        this.#findings.warn(
          'RULES_ENV',
          node.place,
          `the environment variable ${name} is not set here, so its value is not checked`,
        );
      this.#withStandIn.add(node);
      return this.#standIn;
    }
    if (!this.unresolved.has(node) && !this.#withStandIn.has(node))
      this.#findings.error(
        'RULES_ENV',
        node.place,
        `the environment variable ${name} is not set; set it in the environment of Sluice`,
      );
    this.unresolved.add(node);
    return undefined;
  }

  #fromFile(path: string, node: Node): string | undefined {
    const file = resolve(dirname(node.place.source.file), path);
    this.files.push(file);
    try {
      return this.#readText(file).trimEnd();
    } catch (error) {
      if (!this.unresolved.has(node))
        this.#findings.error('RULES_CONFIG_FILE', node.place, `${file} cannot be read: ${systemReason(error)}`);
      this.unresolved.add(node);
      return undefined;
    }
  }
}
