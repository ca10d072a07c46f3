/**
 * Secrets that a message may repeat.
 * **In**: their texts, each with what replaces it. **Out**: texts and values without them, in any of the forms in which messages have
 * them. **Fails**: never.
 */
type Fields = Readonly<Record<string, unknown>>;

export interface SecretText {
  readonly text: string;
  /** What replaces it. */
  readonly shown: string;
}

/** Shorter texts would match by chance. */
const SHORTEST = 4;
/** Of a message that was cut inside of a secret, its last characters; fewer would match by chance. */
const SHORTEST_PART = 8;
/** Causes of errors may be circular. */
const DEEPEST = 6;

export class SecretTexts {
  /** By their first characters, the longest first. */
  readonly #byStart: ReadonlyMap<string, readonly SecretText[]>;
  /** Finds these characters. A config may have thousands of keys, and a message is read once. */
  readonly #starts: RegExp;

  constructor(secrets: Iterable<SecretText>) {
    const forms = new Map<string, SecretText>();
    for (const { text, shown } of secrets)
      for (const form of formsOf(text))
        if (form.length >= SHORTEST && !forms.has(form)) forms.set(form, { text: form, shown });
    const longestFirst = [...forms.values()].toSorted((a, b) => b.text.length - a.text.length);
    this.#byStart = Map.groupBy(longestFirst, ({ text }) => text.slice(0, SHORTEST));
    this.#starts = new RegExp([...this.#byStart.keys()].map(literally).join('|'), 'g');
  }

  get areNone(): boolean {
    return this.#byStart.size === 0;
  }

  text(text: string): string {
    if (this.areNone) return text;
    const starts = this.#starts;
    starts.lastIndex = 0;
    let shown = '';
    let from = 0;
    for (let start = starts.exec(text); start !== null; start = starts.exec(text)) {
      const { 0: characters, index } = start;
      const found = this.#byStart.get(characters)?.find((secret) => standsAt(secret, text, index));
      starts.lastIndex = index + (found?.text.length ?? 1);
      if (found === undefined) continue;
      shown += text.slice(from, index) + found.shown;
      from = starts.lastIndex;
    }
    return from === 0 ? text : shown + text.slice(from);
  }

  fields(fields: Fields): Fields {
    return Object.fromEntries(Object.entries(fields).map(([name, value]) => [this.text(name), this.value(value)]));
  }

  /** Errors and plain objects are copied. */
  value(value: unknown, depth = 0): unknown {
    if (typeof value === 'string') return this.text(value);
    if (this.areNone || typeof value !== 'object' || value === null) return value;
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

/** Whole, or as far as a text goes that was cut. */
function standsAt({ text: secret }: SecretText, text: string, at: number): boolean {
  const left = text.length - at;
  if (left >= secret.length) return text.startsWith(secret, at);
  return left >= SHORTEST_PART && secret.startsWith(text.slice(at));
}

/** As a pattern. */
const literally = (text: string): string => text.replaceAll(/[.*+?()[\]{}^$|\\]/g, String.raw`\$&`);

export const NO_SECRETS: SecretTexts = new SecretTexts([]);

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
