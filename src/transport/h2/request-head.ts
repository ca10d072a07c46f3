/**
 * **In**: the fields of a header block. **Out**: a request's head, or what is malformed of it (RFC 9113 section 8.1.1).
 * **Fails**: never by throwing.
 */
import type { Head } from '../exchange.ts';
import { type Field, FieldKind } from './field.ts';

export class RequestHead implements Head {
  readonly method: string;
  readonly path: string;
  /** `undefined` where there is none. */
  readonly contentType: string | undefined;
  readonly contentLength: number | undefined;
  readonly fields: readonly Field[];
  /** What a reader made of it, kept with it: the same head serves many requests. */
  memo: unknown;

  constructor(method: string, path: string, contentType: string | undefined, contentLength: number | undefined, fields: readonly Field[]) {
    this.method = method;
    this.path = path;
    this.contentType = contentType;
    this.contentLength = contentLength;
    this.fields = fields;
  }

  /** The first value of a name in lower case. */
  header(name: string): string | undefined {
    for (const field of this.fields) if (field.name === name) return field.value;
    return undefined;
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
    if (kind >= FieldKind.METHOD && kind <= FieldKind.AUTHORITY && isRegular) return `${field.name} stands after other fields`;
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
      case FieldKind.UNKNOWN_PSEUDO: return `a request has no ${field.name}`;
      case FieldKind.FORBIDDEN: return `no request of HTTP/2 has a field ${JSON.stringify(field.name)}`;
      case FieldKind.TE:
        if (field.value !== 'trailers') return 'te says something other than trailers';
        break;
      case FieldKind.CONTENT_TYPE: contentType ??= field; break;
      case FieldKind.CONTENT_LENGTH: {
        const length = /^\d{1,15}$/.test(field.value) ? Number(field.value) : -1;
        if (length < 0 || (contentLength !== undefined && contentLength !== length)) return 'content-length is no number, or two';
        contentLength = length;
        break;
      }
      default: break;
    }
    isRegular = true;
  }
  if (method === undefined) return ':method is missing';
  if (method.value === 'CONNECT') return 'CONNECT is not for this server';
  if (scheme === undefined) return ':scheme is missing';
  if (path === undefined || path.value === '') return ':path is missing';
  return new RequestHead(method.value, path.value, contentType?.value, contentLength, fields);
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
