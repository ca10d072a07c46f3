/**
 * The fields of a log line of a plugin, which may pass anything: getters that throw, cycles, a proxy, a megabyte.
 * **In**: any value. **Out**: texts, numbers, errors, and lists and objects of them, within bounds. **Fails**: never; what cannot be read,
 * or is too much, is named in its place.
 */
import { kindOf } from '../../text/kind-of.ts';
import { ellipsized } from '../../text/shortened.ts';
import type { LogFields } from '../contract.ts';

export interface FieldBounds {
  /** Characters of one text. */
  readonly text: number;
  /** Characters of all names and texts; any other value counts as 8. */
  readonly all: number;
}

const MAX_DEPTH = 6;
/** Of a list or an object. */
const MAX_ITEMS = 100;
/** Tolerance for fields that were bounded before: they have an entry about the rest, and names that the host adds. */
const FEW_MORE = 4;
const VALUE_SIZE = 8;
/** Writing the digits of a longer one takes time that grows with their square. */
const MAX_BIGINT = 2n ** 256n;
const UNREADABLE = '(cannot be read)';
const MORE = '...';

/** Of a message: a plugin in JavaScript may pass any value. */
export function boundedText(text: unknown, max: number): string {
  try {
    return ellipsized(String(text), max);
  } catch {
    return UNREADABLE;
  }
}

/** `fields` may be an error in the place of fields, as other loggers take it. */
export function boundedFields(fields: unknown, bounds: FieldBounds): LogFields {
  if (fields === undefined || fields === null) return {};
  const walk = new Walk(bounds);
  const value = walk.value(fields, 0);
  return typeof value !== 'object' || value === null || Array.isArray(value) || value instanceof Error
    ? { [value instanceof Error ? 'error' : 'fields']: value }
    : (value as LogFields);
}

class Walk {
  readonly #maxText: number;
  #left: number;

  constructor({ text, all }: FieldBounds) {
    this.#maxText = text;
    this.#left = all;
  }

  value(value: unknown, depth: number): unknown {
    if (this.#left <= 0) return MORE;
    if (typeof value === 'string') return this.#text(value);
    this.#left -= VALUE_SIZE;
    switch (typeof value) {
      case 'bigint':
        return value < MAX_BIGINT && value > -MAX_BIGINT ? String(value) : 'a bigint of more than 77 digits';
      case 'function':
      case 'symbol':
        return kindOf(value);
      case 'object':
        if (value === null) return null;
        break;
      default:
        return value;
    }
    if (depth > MAX_DEPTH) return MORE;
    try {
      return this.#object(value, depth + 1);
    } catch {
      return UNREADABLE; // a getter threw, or a trap of a proxy
    }
  }

  #text(text: string): string {
    const shown = ellipsized(text, Math.max(0, Math.min(this.#maxText, this.#left)));
    this.#left -= shown.length;
    return shown;
  }

  #object(value: object, depth: number): unknown {
    if (value instanceof Error) return this.#error(value, depth);
    if (Array.isArray(value)) return this.#list(value, value.length, depth);
    if (ArrayBuffer.isView(value)) return `(${value.byteLength} bytes)`;
    if (value instanceof Map) {
      const map = value as ReadonlyMap<unknown, unknown>;
      return this.#entries(map.keys(), map.size, (name) => map.get(name), depth);
    }
    if (value instanceof Set) return this.#list(value, value.size, depth);
    const { toJSON } = value as { readonly toJSON?: unknown };
    if (typeof toJSON === 'function') return this.value(toJSON.call(value), depth);
    const names = Object.keys(value);
    return this.#entries(
      names,
      names.length,
      (name) => (value as Readonly<Record<string, unknown>>)[name as string],
      depth,
    );
  }

  #list(items: Iterable<unknown>, length: number, depth: number): readonly unknown[] {
    const list: unknown[] = [];
    for (const item of items) {
      if (this.#isFull(list.length, length)) return [...list, `${MORE} ${length - list.length} more`];
      list.push(this.value(item, depth));
    }
    return list;
  }

  #isFull(shown: number, size: number): boolean {
    return this.#left <= 0 || (shown >= MAX_ITEMS && size > MAX_ITEMS + FEW_MORE);
  }

  /** One that cannot be read costs its own name only. */
  #entries(names: Iterable<unknown>, size: number, read: (name: unknown) => unknown, depth: number): LogFields {
    const shown: [name: string, value: unknown][] = [];
    for (const name of names) {
      if (this.#isFull(shown.length, size)) {
        shown.push([MORE, `${size - shown.length} more`]);
        break;
      }
      shown.push([this.#text(boundedText(name, this.#maxText)), this.#read(read, name, depth)]);
    }
    return Object.fromEntries(shown); // which keeps a name such as __proto__ a name
  }

  #read(read: (name: unknown) => unknown, name: unknown, depth: number): unknown {
    try {
      return this.value(read(name), depth);
    } catch {
      return UNREADABLE;
    }
  }

  #error(error: Error & { readonly code?: unknown; readonly errors?: unknown }, depth: number): Error {
    const { name, message, stack, cause, code, errors } = error;
    return Object.assign(new Error(this.#text(String(message))), {
      name: this.#text(String(name)),
      stack: typeof stack === 'string' ? this.#text(stack) : '',
      ...(typeof code === 'string' || typeof code === 'number' ? { code: this.value(code, depth) } : {}),
      ...(cause === undefined ? {} : { cause: this.value(cause, depth) }),
      ...(Array.isArray(errors) ? { errors: this.#list(errors, errors.length, depth) } : {}),
    });
  }
}
