/**
 * **In**: the fields of a header block. **Out**: a request's head, or the reason why it is malformed (RFC 9113 section 8.1.1).
 * **Fails**: never by throwing.
 */
import type { Head } from '../exchange.ts';
import { type Field, FieldKind } from './field.ts';

/** The fields that decide how a request is handled; shared by requests that differ only in other fields. */
interface HeadSummary {
  readonly method: string;
  readonly path: string;
  readonly contentType: string | undefined;
  readonly contentLength: number | undefined;
  /** See {@link Head.cached}. */
  cached: unknown;
}

export class RequestHead implements Head {
  readonly #summary: HeadSummary;
  readonly #fields: readonly Field[];

  constructor(summary: HeadSummary, fields: readonly Field[]) {
    this.#summary = summary;
    this.#fields = fields;
  }

  get method(): string {
    return this.#summary.method;
  }

  get path(): string {
    return this.#summary.path;
  }

  get contentType(): string | undefined {
    return this.#summary.contentType;
  }

  get contentLength(): number | undefined {
    return this.#summary.contentLength;
  }

  get cached(): unknown {
    return this.#summary.cached;
  }

  set cached(cached: unknown) {
    this.#summary.cached = cached;
  }

  /** The first value of a name in lower case. */
  header(name: string): string | undefined {
    for (const field of this.#fields) if (field.name === name) return field.value;
    return undefined;
  }

  /** A head of these fields that shares the summary of this one; `undefined` if they may lead to another. */
  withFields(fields: readonly Field[]): RequestHead | undefined {
    const own = this.#fields;
    if (fields.length !== own.length) return undefined;
    for (let at = 0; at < fields.length; at++) {
      const field = fields[at] as Field;
      const before = own[at] as Field;
      if (field === before || (field.kind === FieldKind.OTHER && before.kind === FieldKind.OTHER && field.isValid))
        continue;
      if (!field.isSame(before)) return undefined;
    }
    return new RequestHead(this.#summary, fields);
  }
}

/** A text is the reason why it is malformed. */
export function requestHead(fields: readonly Field[]): RequestHead | string {
  let method: Field | undefined;
  let scheme: Field | undefined;
  let path: Field | undefined;
  let authority: Field | undefined;
  let contentType: Field | undefined;
  let contentLength: number | undefined;
  let isRegular = false;
  for (const field of fields) {
    if (!field.isValid) return `the value of ${field.name} has a byte that is not allowed`;
    const { kind } = field;
    if (kind >= FieldKind.METHOD && kind <= FieldKind.AUTHORITY && isRegular)
      return `${field.name} follows other fields`;
    switch (kind) {
      case FieldKind.METHOD:
        if (method !== undefined) return ':method is repeated';
        method = field;
        continue;
      case FieldKind.SCHEME:
        if (scheme !== undefined) return ':scheme is repeated';
        scheme = field;
        continue;
      case FieldKind.PATH:
        if (path !== undefined) return ':path is repeated';
        path = field;
        continue;
      case FieldKind.AUTHORITY:
        if (authority !== undefined) return ':authority is repeated';
        authority = field;
        continue;
      case FieldKind.UNKNOWN_PSEUDO:
        return `${field.name} is not allowed in a request`;
      case FieldKind.FORBIDDEN:
        return `the field ${JSON.stringify(field.name)} is not allowed in HTTP/2`;
      case FieldKind.TE:
        if (field.value !== 'trailers') return 'te is not trailers';
        break;
      case FieldKind.CONTENT_TYPE:
        contentType ??= field;
        break;
      case FieldKind.CONTENT_LENGTH: {
        const length = /^\d{1,15}$/.test(field.value) ? Number(field.value) : -1;
        if (length < 0 || (contentLength !== undefined && contentLength !== length))
          return 'content-length is not one number';
        contentLength = length;
        break;
      }
      default:
        break;
    }
    isRegular = true;
  }
  if (method === undefined) return ':method is missing';
  if (method.value === 'CONNECT') return 'CONNECT is not supported';
  if (scheme === undefined) return ':scheme is missing';
  if (path === undefined || path.value === '') return ':path is missing';
  return new RequestHead(
    { method: method.value, path: path.value, contentType: contentType?.value, contentLength, cached: undefined },
    fields,
  );
}

/** Why trailers are malformed; `undefined` if they are not. */
export function trailersProblem(fields: readonly Field[]): string | undefined {
  for (const field of fields) {
    if (!field.isValid) return `the value of ${field.name} has a byte that is not allowed`;
    if (field.name.startsWith(':')) return `${field.name} is not allowed in trailers`;
    if (field.kind === FieldKind.FORBIDDEN) return `the field ${JSON.stringify(field.name)} is not allowed in HTTP/2`;
  }
  return undefined;
}
