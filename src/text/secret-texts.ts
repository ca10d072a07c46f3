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

/** A secret in one of its forms. */
interface Candidate extends SecretText {
  readonly form: (text: string) => string;
}

/** So many searches of a text cost less than a pattern of its own. */
const FEW = 32;

export class SecretTexts {
  /** By their first characters. Their forms are made for the first text that has these: a request has its cookies, however long. */
  readonly #byStart = new Map<string, Candidate[]>();
  /** The longest first. */
  readonly #formed = new Map<string, readonly SecretText[]>();
  /** Finds the first characters. A config may have thousands of keys, and a message is read once. */
  #starts: RegExp | undefined;
  /** Added so far: thousands of rules may have the same one. */
  readonly #added = new Set<string>();
  readonly #included = new Set<SecretTexts>();

  constructor(secrets: Iterable<SecretText>) {
    this.add(secrets);
  }

  add(secrets: Iterable<SecretText>): void {
    const byStart = this.#byStart;
    for (const { text: given, shown } of secrets) {
      if (this.#added.has(given)) continue;
      this.#added.add(given);
      for (const text of partsOf(given))
        for (const form of FORMS) {
          const start = form(text.slice(0, SHORTEST + 1)).slice(0, SHORTEST);
          if (start.length < SHORTEST) continue;
          const candidates = byStart.get(start);
          if (candidates === undefined) byStart.set(start, [{ text, shown, form }]);
          else candidates.push({ text, shown, form });
        }
    }
    this.#starts = undefined;
    this.#formed.clear();
  }

  /** Replaces those of `others`, too, until the returned function is called. */
  include(others: SecretTexts): () => void {
    if (others === this) return () => undefined;
    this.#included.add(others);
    return () => this.#included.delete(others);
  }

  get areNone(): boolean {
    return this.#byStart.size === 0 && this.#included.size === 0;
  }

  text(text: string): string {
    let shown = this.#without(text);
    for (const others of this.#included) shown = others.text(shown);
    return shown;
  }

  #without(text: string): string {
    if (!this.#mayBeIn(text)) return text;
    const starts = (this.#starts ??= new RegExp([...this.#byStart.keys()].map(literally).join('|'), 'g'));
    starts.lastIndex = 0;
    let shown = '';
    let from = 0;
    for (let start = starts.exec(text); start !== null; start = starts.exec(text)) {
      const { 0: characters, index } = start;
      const found = this.#formsFrom(characters).find((secret) => standsAt(secret, text, index));
      starts.lastIndex = index + (found?.text.length ?? 1);
      if (found === undefined) continue;
      shown += text.slice(from, index) + found.shown;
      from = starts.lastIndex;
    }
    return from === 0 ? text : shown + text.slice(from);
  }

  /** A plugin in JavaScript may pass what is no text. */
  #mayBeIn(text: unknown): boolean {
    if (typeof text !== 'string') return false;
    if (this.#byStart.size > FEW) return true;
    for (const start of this.#byStart.keys()) if (text.includes(start)) return true;
    return false;
  }

  #formsFrom(start: string): readonly SecretText[] {
    let forms = this.#formed.get(start);
    if (forms === undefined) {
      const byText = new Map<string, SecretText>();
      for (const { text: given, shown, form } of this.#byStart.get(start) ?? []) {
        const text = form(given);
        if (!byText.has(text)) byText.set(text, { text, shown });
      }
      forms = [...byText.values()].toSorted((a, b) => b.text.length - a.text.length);
      this.#formed.set(start, forms);
    }
    return forms;
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

/** Whole, or as far as a text goes that was cut, perhaps with dots in place of the rest. */
function standsAt({ text: secret }: SecretText, text: string, at: number): boolean {
  if (text.length - at >= secret.length && text.startsWith(secret, at)) return true;
  const rest = text.slice(at, text.endsWith('...') ? -3 : undefined);
  return rest.length >= SHORTEST_PART && secret.startsWith(rest);
}

/** As a pattern. */
const literally = (text: string): string => text.replaceAll(/[.*+?()[\]{}^$|\\]/g, String.raw`\$&`);

/** Of `Bearer TOKEN` the token alone, too. */
function partsOf(secret: string): readonly string[] {
  const text = secret.trim();
  const last = text.replace(/^\w+ +/, '');
  return last === text ? [text] : [text, last];
}

/** As a secret may stand in a message: in a URL, in JSON, in a header of Basic. Each begins by the form of the first characters. */
const FORMS: readonly Candidate['form'][] = [
  (text) => text,
  (text) => encodeURIComponent(text.toWellFormed()),
  (text) => JSON.stringify(text).slice(1, -1),
  (text) => Buffer.from(text).toString('base64'),
  (text) => Buffer.from(text).toString('base64url'),
];

export const NO_SECRETS: SecretTexts = new SecretTexts([]);
