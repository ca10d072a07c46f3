/**
 * **In**: the fields of a header block. **Out**: a request's head, or what is malformed of it (RFC 9113 section 8.1.1).
 * **Fails**: never by throwing.
 */
import type { Head } from '../exchange.ts';
import { type Field, FieldKind } from './field.ts';

/** What decides how a request is taken: the same for many that differ in other fields. */
interface Gist {
  readonly method: string;
  readonly path: string;
  readonly contentType: string | undefined;
  readonly contentLength: number | undefined;
  /** What a reader made of it. */
  memo: unknown;
}

export class RequestHead implements Head {
  readonly #gist: Gist;
  readonly #fields: readonly Field[];

  constructor(gist: Gist, fields: readonly Field[]) {
    this.#gist = gist;
    this.#fields = fields;
  }

  get method(): string {
    return this.#gist.method;
  }

  get path(): string {
    return this.#gist.path;
  }

  get contentType(): string | undefined {
    return this.#gist.contentType;
  }

  get contentLength(): number | undefined {
    return this.#gist.contentLength;
  }

  get memo(): unknown {
    return this.#gist.memo;
  }

  set memo(memo: unknown) {
    this.#gist.memo = memo;
  }

  /** The first value of a name in lower case. */
  header(name: string): string | undefined {
    for (const field of this.#fields) if (field.name === name) return field.value;
    return undefined;
  }

  /** A head of other fields that is taken as this one is; `undefined` where they may decide otherwise. */
  alike(fields: readonly Field[]): RequestHead | undefined {
    const own = this.#fields;
    if (fields.length !== own.length) return undefined;
    for (let at = 0; at < fields.length; at++) {
      const field = fields[at] as Field;
      const before = own[at] as Field;
      if (field === before || (field.kind === FieldKind.OTHER && before.kind === FieldKind.OTHER && field.isSound))
        continue;
      if (!field.isSame(before)) return undefined;
    }
    return new RequestHead(this.#gist, fields);
  }
}

/** Text: what is malformed. */
export function requestHead(fields: readonly Field[]): RequestHead | string {
  let method: Field | undefined;
  let scheme: Field | undefined;
  let path: Field | undefined;
  let authority: Field | undefined;
  let contentType: Field | undefined;
  let contentLength: number | undefined;
  let isRegular = false;
  for (const field of fields) {
    if (!field.isSound) return `the value of ${field.name} has an octet that none may have`;
    const { kind } = field;
    if (kind >= FieldKind.METHOD && kind <= FieldKind.AUTHORITY && isRegular)
      return `${field.name} stands after other fields`;
    switch (kind) {
      case FieldKind.METHOD:
        if (method !== undefined) return ':method stands twice';
        method = field;
        continue;
      case FieldKind.SCHEME:
        if (scheme !== undefined) return ':scheme stands twice';
        scheme = field;
        continue;
      case FieldKind.PATH:
        if (path !== undefined) return ':path stands twice';
        path = field;
        continue;
      case FieldKind.AUTHORITY:
        if (authority !== undefined) return ':authority stands twice';
        authority = field;
        continue;
      case FieldKind.UNKNOWN_PSEUDO:
        return `a request has no ${field.name}`;
      case FieldKind.FORBIDDEN:
        return `no request of HTTP/2 has a field ${JSON.stringify(field.name)}`;
      case FieldKind.TE:
        if (field.value !== 'trailers') return 'te says something other than trailers';
        break;
      case FieldKind.CONTENT_TYPE:
        contentType ??= field;
        break;
      case FieldKind.CONTENT_LENGTH: {
        const length = /^\d{1,15}$/.test(field.value) ? Number(field.value) : -1;
        if (length < 0 || (contentLength !== undefined && contentLength !== length))
          return 'content-length is no number, or two';
        contentLength = length;
        break;
      }
      default:
        break;
    }
    isRegular = true;
  }
  if (method === undefined) return ':method is missing';
  if (method.value === 'CONNECT') return 'CONNECT is not for this server';
  if (scheme === undefined) return ':scheme is missing';
  if (path === undefined || path.value === '') return ':path is missing';
  return new RequestHead(
    { method: method.value, path: path.value, contentType: contentType?.value, contentLength, memo: undefined },
    fields,
  );
}

/** What is malformed of trailers; `undefined` where nothing is. */
export function trailersProblem(fields: readonly Field[]): string | undefined {
  for (const field of fields) {
    if (!field.isSound) return `the value of ${field.name} has an octet that none may have`;
    if (field.name.startsWith(':')) return `trailers have no ${field.name}`;
    if (field.kind === FieldKind.FORBIDDEN) return `no request of HTTP/2 has a field ${JSON.stringify(field.name)}`;
  }
  return undefined;
}
