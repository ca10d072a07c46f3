/**
 * The secrets of a handler's config, which errors of its plugin and of the client of its backend may repeat.
 * **In**: the schema and the values of a config. **Out**: texts and log fields with `(secret)`, or the reference that the policy has
 * (`{ $env: NAME }`), in place of each. **Fails**: never.
 */
import { HIDDEN } from '../attributes/secrets.ts';
import { schemaParts } from '../text/schema-parts.ts';
import type { Log, LogFields } from './contract.ts';

export interface ConfigSecret {
  readonly text: string;
  /** What replaces it. */
  readonly shown: string;
}

/** Shorter texts would match by chance. */
const SHORTEST = 4;
/** Causes of errors may be circular. */
const DEEPEST = 6;

export class ConfigSecrets {
  /** By their first characters, the longest first. */
  readonly #byStart: ReadonlyMap<string, readonly ConfigSecret[]>;
  /** Finds these characters. A config may have thousands of keys, and a message is read once. */
  readonly #starts: RegExp;

  constructor(secrets: Iterable<ConfigSecret>) {
    const forms = new Map<string, ConfigSecret>();
    for (const { text, shown } of secrets)
      for (const form of formsOf(text))
        if (form.length >= SHORTEST && !forms.has(form)) forms.set(form, { text: form, shown });
    const longestFirst = [...forms.values()].toSorted((a, b) => b.text.length - a.text.length);
    this.#byStart = Map.groupBy(longestFirst, ({ text }) => text.slice(0, SHORTEST));
    this.#starts = new RegExp([...this.#byStart.keys()].map(literally).join('|'), 'g');
  }

  text(text: string): string {
    if (this.#byStart.size === 0) return text;
    const starts = this.#starts;
    starts.lastIndex = 0;
    let shown = '';
    let from = 0;
    for (let start = starts.exec(text); start !== null; start = starts.exec(text)) {
      const { 0: characters, index } = start;
      const found = this.#byStart.get(characters)?.find((secret) => text.startsWith(secret.text, index));
      starts.lastIndex = index + (found?.text.length ?? 1);
      if (found === undefined) continue;
      shown += text.slice(from, index) + found.shown;
      from = starts.lastIndex;
    }
    return from === 0 ? text : shown + text.slice(from);
  }

  /** A log in whose lines the secrets are replaced. */
  log(log: Log): Log {
    if (this.#byStart.size === 0) return log;
    const line =
      (level: keyof Log) =>
      (message: string, fields?: LogFields): void =>
        log[level](this.text(message), fields === undefined ? undefined : this.fields(fields));
    return { debug: line('debug'), info: line('info'), warn: line('warn'), error: line('error') };
  }

  fields(fields: LogFields): LogFields {
    return Object.fromEntries(Object.entries(fields).map(([name, value]) => [this.text(name), this.value(value)]));
  }

  /** Errors and plain objects are copied. */
  value(value: unknown, depth = 0): unknown {
    if (typeof value === 'string') return this.text(value);
    if (this.#byStart.size === 0 || typeof value !== 'object' || value === null) return value;
    if (depth > DEEPEST) return '...';
    try {
      if (value instanceof Error) return this.#error(value, depth);
      if (Array.isArray(value)) return value.map((one) => this.value(one, depth + 1));
      const prototype: unknown = Object.getPrototypeOf(value);
      if (prototype !== Object.prototype && prototype !== null) return this.#instance(value);
      return Object.fromEntries(
        Object.entries(value).map(([name, one]) => [this.text(name), this.value(one, depth + 1)]),
      );
    } catch {
      return '(cannot be read)'; // a getter threw, or an instance refers to itself
    }
  }

  /** Of a class, such as a URL or a client with its options: as a log has it. */
  #instance(value: object): unknown {
    const json = JSON.stringify(value);
    const shown = this.text(json);
    return shown === json ? value : JSON.parse(shown);
  }

  #error(error: Error & { readonly code?: unknown; readonly errors?: unknown }, depth: number): Error {
    const { name, message, stack, cause, code, errors } = error;
    return Object.assign(new Error(this.text(String(message))), {
      name,
      stack: typeof stack === 'string' ? this.text(stack) : '',
      ...(code === undefined ? {} : { code }),
      ...(cause === undefined ? {} : { cause: this.value(cause, depth + 1) }),
      ...(errors === undefined ? {} : { errors: this.value(errors, depth + 1) }),
    });
  }
}

/** As a pattern. */
const literally = (text: string): string => text.replaceAll(/[.*+?()[\]{}^$|\\]/g, String.raw`\$&`);

export const NO_SECRETS: ConfigSecrets = new ConfigSecrets([]);

/** As it may stand in a message: of `Bearer TOKEN` the token alone, in a URL, in JSON, in a header of Basic. */
function formsOf(secret: string): readonly string[] {
  const text = secret.trim();
  return [text, text.replace(/^\w+ +/, '')].flatMap((one) => [
    one,
    encodeURIComponent(one.toWellFormed()),
    JSON.stringify(one).slice(1, -1),
    Buffer.from(one).toString('base64'),
  ]);
}

/** Of fields that a schema marks as secret, and the passwords of URLs. */
export function secretsOfConfig(schema: unknown, config: unknown): readonly ConfigSecret[] {
  return [...markedTexts(schema, config), ...textsIn(config).flatMap(passwordsOf)].map((text) => ({
    text,
    shown: HIDDEN,
  }));
}

function markedTexts(schema: unknown, value: unknown): readonly string[] {
  if (value === undefined || value === null || schema === undefined) return [];
  const { meta, shape, innerType, element, valueType, options, in: input } = schemaParts(schema);
  if (meta?.['secret'] === true) return textsIn(value);
  const same = [innerType, input, ...(options ?? [])].flatMap((one) => markedTexts(one, value));
  if (Array.isArray(value)) return [...same, ...value.flatMap((item) => markedTexts(element, item))];
  if (typeof value !== 'object') return same;
  return [...same, ...Object.entries(value).flatMap(([key, one]) => markedTexts(shape?.[key] ?? valueType, one))];
}

function textsIn(value: unknown): readonly string[] {
  if (typeof value === 'string') return [value];
  return typeof value === 'object' && value !== null ? Object.values(value).flatMap(textsIn) : [];
}

/** As written, and as a client sends it. */
function passwordsOf(text: string): readonly string[] {
  const password = /^[a-z][a-z0-9+.-]*:\/\/[^\s/?#]*?:([^\s/?#]*)@/i.exec(text)?.[1];
  if (password === undefined) return [];
  try {
    return [password, decodeURIComponent(password)];
  } catch {
    return [password];
  }
}
